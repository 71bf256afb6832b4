"""Downloads the videos of one run that has succeeded: fetched, checked, put under their final names, written down."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread

from batchgen import events as ev
from batchgen.core import polling as p
from batchgen.core.transfer_terms import FULL_DISK_ERRORS
from batchgen.engine.desk import Desk
from batchgen.engine.follow import conclude, watch
from batchgen.engine.notices import Received
from batchgen.records import Failure, SavedFile
from batchgen.service.download import Dead, DiskFull, Fetched, Interrupted, NotVideo, Refused, Result
from batchgen.store.paths import path_from

FRESH_URLS = 3
STOPPED = Failure("stopped", "Stopped during the download.")
CODES: tuple[tuple[type, str], ...] = (
    (Dead, "url_dead"),
    (NotVideo, "not_a_video"),
    (Refused, "address_refused"),
    (Interrupted, "download_interrupted"),
    (DiskFull, "disk_full"),
)


async def fetch(desk: Desk, name: str, urls: tuple[str, ...] | None, on_begin: Callable[[], None]) -> None:
    """Downloads a run's videos, asking for fresh URLs when they are dead. The run is downloaded, failed or left.

    `urls` is None where the run succeeded in an earlier session: URLs are not kept, because they expire. `on_begin`
    is called when one of the places for downloads is taken; no place is held while the service is asked for URLs.
    """
    failure: Failure | None = None
    for _ in range(FRESH_URLS + 1):
        if urls is None:
            course = await watch(desk, desk.ledger.records[name], at_once=True)
            if not isinstance(course, p.Finished):
                await conclude(desk, desk.ledger.records[name], course)
                return
            urls = course.urls
        if desk.disk_full:
            desk.leave(name, desk.disk_full)
            return
        async with desk.downloads:
            on_begin()
            failure = await _fetch_all(desk, name, urls)
        if failure is None or failure is STOPPED:
            return
        if failure.code not in ("url_dead", "not_a_video"):
            break
        urls = None
    if failure:
        await _note(desk, name, failure)


async def _fetch_all(desk: Desk, name: str, urls: tuple[str, ...]) -> Failure | None:
    """One pass over a run's URLs: None when every video is whole and written down, else what was in the way.

    A first Ctrl-C lets what has begun come to its end; a second one cuts it short.
    """
    with anyio.CancelScope(shield=True), desk.until_hard_stop():
        files: list[SavedFile] = []
        for index, url in enumerate(urls, start=1):
            result = await _fetch_one(desk, name, url, desk.videos.name_for(name, index, len(urls)))
            if isinstance(result, Failure):
                return result
            files.append(result)
        await desk.record(ev.Downloaded(id=name, at=desk.now(), files=tuple(files)))
        return None
    return STOPPED


async def _fetch_one(desk: Desk, name: str, url: str, file_name: str) -> SavedFile | Failure:
    def on_bytes(received: int, total: int | None) -> None:
        desk.notify(Received(name, received, total))

    result = await desk.downloader.fetch(url, desk.videos.part_for(file_name), on_bytes)
    if isinstance(result, Fetched):
        try:
            final = await anyio.to_thread.run_sync(desk.videos.publish, result.part, file_name)
        except (OSError, ValueError) as problem:  # ValueError: somebody has taken the part away meanwhile
            words = getattr(problem, "strerror", None) or problem
            if getattr(problem, "errno", None) in FULL_DISK_ERRORS:
                return _stop_for_room(desk, Failure("disk_full", f"{file_name} cannot be written: {words}."))
            return Failure("unwritable", f"{file_name} cannot be written: {words}.")
        return SavedFile(path_from(final, desk.ledger.paths.state.parent), result.bytes, result.sha256)
    failure = _failure_of(result)
    return _stop_for_room(desk, failure) if isinstance(result, DiskFull) else failure


def _stop_for_room(desk: Desk, failure: Failure) -> Failure:
    """Videos that cannot be kept are not worth paying for now."""
    desk.disk_full = desk.disk_full or failure  # the first: by it the batch knows why its submissions were stopped
    desk.dispatcher.stop_submissions(desk.disk_full)
    return failure


def _failure_of(result: Result) -> Failure:
    code = next((code for kind, code in CODES if isinstance(result, kind)), "download_failed")
    return Failure(code, getattr(result, "reason", "The download failed."))


async def _note(desk: Desk, name: str, failure: Failure) -> None:
    """Shows on the run why its videos are not there yet; its id stays, and the next session fetches them."""
    with anyio.CancelScope(shield=True):
        await desk.record(ev.Noted(id=name, at=desk.now(), failure=failure))
    desk.leave(name, failure)
