"""Each row of the download table, over a real socket."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiofiles
import anyio
import httpx
import pytest

from batchgen.core.transfer_terms import Policy
from batchgen.service.download import (
    Dead,
    DiskFull,
    Downloader,
    DownloadSettings,
    Fetched,
    Interrupted,
    NotVideo,
    Refused,
    Result,
    Unwritable,
)
from tests.service.films import FTYP, MOOV, box, film
from tests.service.raw_server import Answer, RawServer, Request, ranged, raw_server, reply

pytestmark = pytest.mark.anyio

FILM = film(300_000)
OTHER_FILM = film(200_000)
QUICK = Policy(first_wait=0.001, longest_wait=0.002, breaks=3, waits=3)
TLS = httpx.create_ssl_context()  # costs 22 ms: made once
SETTINGS = DownloadSettings("http://127.0.0.1:1/api/v1", policy=QUICK, ssl_context=TLS)


def ignore(_count: int, _total: int | None) -> None:
    """Progress that nobody watches."""


class Served:
    """What one download led to."""

    def __init__(self, result: Result, server: RawServer, part: Path) -> None:
        self.result = result
        self.requests = server.requests
        self.part = part

    @property
    def ranges(self) -> list[str | None]:
        return [request.headers.get("range") for request in self.requests]

    def assert_holds(self, data: bytes) -> None:
        assert self.result == Fetched(len(data), hashlib.sha256(data).hexdigest(), self.part)
        assert self.part.read_bytes() == data

    def assert_gave_up(self, kind: type[object], words: str) -> None:
        assert isinstance(self.result, kind), self.result
        assert not isinstance(self.result, Fetched)
        assert words in self.result.reason


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "lamp.mp4.part"


async def download(part: Path, answers: Sequence[Answer], settings: DownloadSettings = SETTINGS) -> Served:
    with anyio.fail_after(10):
        async with raw_server(answers) as server, Downloader(settings, rng=random.Random(1)) as downloader:
            result = await downloader.fetch(server.url(), part, ignore)
    assert part.exists() == isinstance(result, Fetched)
    return Served(result, server, part)


# 200, whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.row("download", "200 (to a Range: start over)", "length as announced")
async def test_200_as_announced_is_kept_with_its_bytes_and_sha256(part: Path) -> None:
    served = await download(part, [reply(200, FILM)])
    served.assert_holds(FILM)
    assert served.ranges == [None]


async def test_the_request_carries_no_secret_and_asks_for_plain_bytes(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBASE_API_KEY", "sk-secret")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    served = await download(part, [reply(503, b"", "Set-Cookie: a=b; Path=/"), reply(200, FILM)])
    served.assert_holds(FILM)
    for request in served.requests:
        assert request.headers["accept-encoding"] == "identity"
        assert not {"authorization", "cookie", "proxy-authorization"} & set(request.headers)


async def test_progress_is_told_and_ends_at_the_whole_length(part: Path) -> None:
    told: list[tuple[int, int | None]] = []
    async with raw_server([reply(200, FILM)]) as server, Downloader(SETTINGS) as downloader:
        await downloader.fetch(server.url(), part, lambda count, total: told.append((count, total)))
    assert told == sorted(told)
    assert told[-1] == (len(FILM), len(FILM))


async def test_a_webm_is_kept_if_its_length_is_as_announced(part: Path) -> None:
    webm = b"\x1a\x45\xdf\xa3" + b"w" * 5000
    (await download(part, [reply(200, webm)])).assert_holds(webm)
    served = await download(part, [reply(200, webm, length=None)])
    served.assert_gave_up(Interrupted, "only its length can prove")


# Short, reset, slow: resume -------------------------------------------------------------------------------------------


@pytest.mark.row("download", "reset, cut, slow, no connection", "206 at our byte", "length as announced")
async def test_cut_short_is_resumed_at_the_byte_with_range_and_if_range(part: Path) -> None:
    served = await download(part, [ranged(FILM, '"v1"', cut=100_000), ranged(FILM, '"v1"')])
    served.assert_holds(FILM)
    assert served.ranges == [None, "bytes=100000-"]
    assert served.requests[1].headers["if-range"] == '"v1"'


@pytest.mark.row("download", "reset, cut, slow, no connection", "206 at our byte")
async def test_a_reset_is_resumed(part: Path) -> None:
    async def reset(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(200, FILM[:70_000], 'ETag: "v1"', length=len(FILM))(request, writer)
        await asyncio.sleep(0.05)  # lets the bytes go out before the reset drops what is unsent
        writer.transport.abort()

    served = await download(part, [reset, ranged(FILM, '"v1"')])
    served.assert_holds(FILM)
    assert len(served.requests) == 2


@pytest.mark.parametrize("tag", ['ETag: W/"v1"', "X: no tag", 'ETag: "v1"\r\nAccept-Ranges: none'])
@pytest.mark.row("download", "reset, cut, slow, no connection", "200 (to a Range: start over)")
async def test_without_a_strong_etag_or_ranges_it_starts_over(part: Path, tag: str) -> None:
    served = await download(part, [reply(200, FILM[:100_000], tag, length=len(FILM)), reply(200, FILM, tag)])
    served.assert_holds(FILM)
    assert served.ranges == [None, None]


def drip(data: bytes) -> Answer:
    """Headers at once, then one byte now and then."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(200, data[:90_000], 'ETag: "v1"', length=len(data))(request, writer)
        for n in range(10_000):
            writer.write(data[90_000 + n : 90_001 + n])
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


@pytest.mark.row("download", "reset, cut, slow, no connection", "206 at our byte")
async def test_a_slow_drip_counts_as_broken_and_is_resumed(part: Path) -> None:
    settings = replace(SETTINGS, slow_seconds=0.2, slow_rate=10_000_000.0)
    served = await download(part, [drip(FILM), ranged(FILM, '"v1"')], settings)
    served.assert_holds(FILM)
    assert served.ranges[1] is not None


@pytest.mark.row("download", "reset, cut, slow, no connection", "206 at our byte")
async def test_silence_counts_as_broken_and_is_resumed(part: Path) -> None:
    async def silent(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(200, FILM[:80_000], 'ETag: "v1"', length=len(FILM))(request, writer)
        await request.client_closes()

    served = await download(part, [silent, ranged(FILM, '"v1"')], replace(SETTINGS, slow_seconds=0.2))
    served.assert_holds(FILM)
    assert served.ranges == [None, "bytes=80000-"]


async def test_breaks_without_progress_end_as_interrupted(part: Path) -> None:
    served = await download(part, [ranged(FILM, '"v1"', cut=0)])
    served.assert_gave_up(Interrupted, "")
    assert len(served.requests) == QUICK.breaks + 1


async def test_breaks_with_progress_go_on_as_long_as_it_takes(part: Path) -> None:
    served = await download(
        part, [ranged(FILM, '"v1"', cut=70_000)], replace(SETTINGS, policy=replace(QUICK, breaks=1))
    )
    served.assert_holds(FILM)
    assert len(served.requests) == 5


@pytest.mark.row("download", "reset, cut, slow, no connection")
async def test_no_server_at_all_ends_as_interrupted(part: Path) -> None:
    async with raw_server([]) as server:
        port = server.port
    async with Downloader(SETTINGS) as downloader:
        result = await downloader.fetch(f"http://127.0.0.1:{port}/", part, ignore)
    assert isinstance(result, Interrupted)
    assert not part.exists()


# 206 elsewhere, 200 to a Range, changed: start over -------------------------------------------------------------------


def partial(start: int, data: bytes, etag: str = '"v1"', total: int | str | None = None) -> Answer:
    end = start + len(data) - 1
    whole = len(FILM) if total is None else total
    return reply(206, data, f"ETag: {etag}", f"Content-Range: bytes {start}-{end}/{whole}")


CUT = ranged(FILM, '"v1"', cut=100_000)
WRONG_PARTS = {
    "206 at a wrong byte": partial(99_999, FILM[99_999:]),
    "206 from the start": partial(0, FILM),
    "206 with another ETag": partial(100_000, OTHER_FILM[100_000:], '"v2"'),
    "206 with a weak ETag": partial(100_000, FILM[100_000:], 'W/"v1"'),
    "206 of another length": partial(100_000, OTHER_FILM[100_000:], total=len(OTHER_FILM)),
    "206 without Content-Range": reply(206, FILM[100_000:], 'ETag: "v1"'),
    "206 whose lengths differ": reply(206, FILM[100_000:], 'ETag: "v1"', "Content-Range: bytes 100000-100009/300000"),
    "206 in several parts": reply(206, FILM, 'ETag: "v1"', "Content-Type: multipart/byteranges; boundary=x"),
    "416": reply(416, b"", "Content-Range: bytes */50"),
}


def of_row(name: str, *values: object) -> object:
    """Parameters of a test that prove this row."""
    return pytest.param(*values, marks=pytest.mark.row("download", name), id=str(values[0]))


def row_of_part(name: str) -> str:
    return "416 elsewhere" if name == "416" else "206 elsewhere, or of a changed file"


@pytest.mark.parametrize("name", [of_row(row_of_part(name), name) for name in WRONG_PARTS])
async def test_a_part_that_does_not_fit_starts_over(part: Path, name: str) -> None:
    served = await download(part, [CUT, WRONG_PARTS[name], reply(200, OTHER_FILM)])
    served.assert_holds(OTHER_FILM)
    assert served.ranges == [None, "bytes=100000-", None]


@pytest.mark.row("download", "200 (to a Range: start over)")
async def test_200_to_a_range_starts_over_with_that_very_answer(part: Path) -> None:
    served = await download(part, [CUT, reply(200, OTHER_FILM, 'ETag: "v2"')])
    served.assert_holds(OTHER_FILM)
    assert len(served.requests) == 2


async def test_starting_over_leaves_nothing_of_a_longer_film(part: Path) -> None:
    shorter = film(50_000)
    (await download(part, [CUT, reply(200, shorter)])).assert_holds(shorter)


@pytest.mark.row("download", "200 (to a Range: start over)")
async def test_a_changed_file_starts_over_since_if_range_makes_the_server_send_all(part: Path) -> None:
    served = await download(part, [CUT, ranged(OTHER_FILM, '"v2"')])
    served.assert_holds(OTHER_FILM)


@pytest.mark.row("download", "206 elsewhere, or of a changed file")
async def test_a_server_that_never_fits_ends_as_interrupted(part: Path) -> None:
    wrong = partial(5, FILM[5:])
    served = await download(part, [wrong])
    served.assert_gave_up(Interrupted, "cannot resume")


@pytest.mark.row("download", "206 at our byte", "short")
async def test_an_unasked_206_that_is_partial_is_completed(part: Path) -> None:
    served = await download(part, [partial(0, FILM[:1000]), ranged(FILM, '"v1"')])
    served.assert_holds(FILM)
    assert served.ranges == [None, "bytes=1000-"]


# No Content-Length ----------------------------------------------------------------------------------------------------


def chunked(body: bytes, *headers: str, ends: bool = True) -> Answer:
    """The body in chunked coding, with or without its last chunk."""
    coded = b"%x\r\n" % len(body) + body + b"\r\n" + (b"0\r\n\r\n" if ends else b"")
    return reply(200, coded, "Transfer-Encoding: chunked", *headers, length=None)


@pytest.mark.parametrize("answer", [reply(200, FILM, length=None), chunked(FILM)], ids=["close", "chunked"])
@pytest.mark.row("download", "no length, the boxes prove the end")
async def test_without_a_length_the_boxes_prove_the_end(part: Path, answer: Answer) -> None:
    (await download(part, [answer])).assert_holds(FILM)


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, FILM[:-1], length=None),
        reply(200, FILM[:3], length=None),
        reply(200, b"", length=None),
        chunked(FILM[:-1]),
        chunked(FILM[:-5], ends=False),
        reply(200, FTYP + MOOV + box(b"mdat", b"x" * 99, size=0), length=None),
    ],
    ids=["close", "three bytes", "nothing", "chunked", "chunked and cut", "box to the end of the file"],
)
@pytest.mark.row("download", "no length, the boxes prove the end")
async def test_without_a_length_a_cut_film_is_fetched_again(part: Path, answer: Answer) -> None:
    served = await download(part, [answer, reply(200, FILM, length=None)])
    served.assert_holds(FILM)
    assert len(served.requests) == 2


@pytest.mark.row("download", "no length, the boxes prove nothing", "416 at the end")
async def test_without_a_length_a_416_at_the_end_settles_it(part: Path) -> None:
    """An open-ended last box is whole once the server says that no byte follows."""
    open_ended = FTYP + MOOV + box(b"mdat", b"x" * 99, size=0)
    answer = reply(200, open_ended, 'ETag: "v1"', length=None)
    served = await download(part, [answer, reply(416, b"", f"Content-Range: bytes */{len(open_ended)}")])
    served.assert_holds(open_ended)


# Not a video ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!doctype html><h1>Sorry</h1>", "HTML"),
        (b'{"error": {"code": "expired"}}', "JSON"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        (b"{}", "JSON"),
        (b"", "nothing"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "52 49 46 46"),
    ],
)
async def test_html_json_xml_and_wrong_magic_are_no_video(part: Path, body: bytes, words: str) -> None:
    served = await download(part, [reply(200, body, "Content-Type: video/mp4")])
    served.assert_gave_up(NotVideo, words)
    assert len(served.requests) == 1


@pytest.mark.row("download", "HTML, JSON, XML, wrong magic")
async def test_what_is_no_video_is_not_read_to_its_end(part: Path) -> None:
    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(200, b"<!doctype html>", length=10**12)(request, writer)
        await request.client_closes()

    (await download(part, [endless])).assert_gave_up(NotVideo, "HTML")


@pytest.mark.row("download", "longer than announced")
async def test_a_body_that_outgrows_its_announced_range_is_not_read_to_its_end(part: Path) -> None:
    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        headers = ('ETag: "v1"', f"Content-Range: bytes 100000-299999/{len(FILM)}", "Transfer-Encoding: chunked")
        await reply(206, b"40000\r\n" + b"x" * 0x40000 + b"\r\n", *headers, length=None)(request, writer)
        await request.client_closes()

    (await download(part, [CUT, endless, reply(200, FILM)])).assert_holds(FILM)


async def test_a_film_that_is_cut_at_its_origin_is_no_video(part: Path) -> None:
    """Its length is as announced, and still its boxes do not reach the end."""
    served = await download(part, [reply(200, FILM[:-10])])
    served.assert_gave_up(NotVideo, "box 'mdat' ends at byte 300000")


@pytest.mark.parametrize("status", [201, 204, 300, 304])
@pytest.mark.row("download", "other 2xx and 3xx")
async def test_other_2xx_and_3xx_are_no_video(part: Path, status: int) -> None:
    served = await download(part, [reply(status, length=None)])
    served.assert_gave_up(NotVideo, str(status))


# Dead URLs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    [of_row("401, 403, 404, 410", status) for status in (401, 403, 404, 410)]
    + [of_row("other 4xx", status) for status in (400, 405, 416, 451)],
)
async def test_a_dead_url_is_told_at_once(part: Path, status: int) -> None:
    served = await download(part, [reply(status, b"<Error/>")])
    served.assert_gave_up(Dead, f"HTTP {status}")
    assert len(served.requests) == 1
    assert not part.exists()


@pytest.mark.row("download", "401, 403, 404, 410")
async def test_an_answer_that_is_not_read_is_closed_at_once(part: Path) -> None:
    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(404, b"gone", length=10**12)(request, writer)
        await request.client_closes()

    async with raw_server([endless]) as server, Downloader(SETTINGS) as downloader:
        assert isinstance(await downloader.fetch(server.url(), part, ignore), Dead)
        with anyio.fail_after(10):
            await server.all_closed.wait()


@pytest.mark.row("download", "401, 403, 404, 410", "206 at our byte")
async def test_a_url_that_dies_at_half_goes_on_with_a_fresh_one_of_the_same_resource(part: Path) -> None:
    answers = [CUT, reply(403), ranged(FILM, '"v1"')]
    async with raw_server(answers) as server, Downloader(SETTINGS) as downloader:
        dead = await downloader.fetch(server.url("/lamp.mp4?signature=old"), part, ignore)
        assert isinstance(dead, Dead)
        result = await downloader.fetch(server.url("/lamp.mp4?signature=new"), part, ignore)
        Served(result, server, part).assert_holds(FILM)
        assert server.requests[-1].headers["range"] == "bytes=100000-"


async def test_another_resource_starts_over_even_under_the_same_etag(part: Path) -> None:
    answers = [CUT, reply(403), ranged(OTHER_FILM, '"v1"')]
    async with raw_server(answers) as server, Downloader(SETTINGS) as downloader:
        assert isinstance(await downloader.fetch(server.url(), part, ignore), Dead)
        result = await downloader.fetch(server.url("/other.mp4"), part, ignore)
        Served(result, server, part).assert_holds(OTHER_FILM)
        assert "range" not in server.requests[2].headers


async def test_a_part_that_someone_touched_in_between_starts_over(part: Path) -> None:
    answers = [CUT, reply(403), ranged(FILM, '"v1"')]
    async with raw_server(answers) as server, Downloader(SETTINGS) as downloader:
        assert isinstance(await downloader.fetch(server.url(), part, ignore), Dead)
        part.write_bytes(b"?")
        Served(await downloader.fetch(server.url(), part, ignore), server, part).assert_holds(FILM)
        assert "range" not in server.requests[-1].headers


async def test_what_is_kept_for_later_is_gone_when_the_downloader_is(part: Path) -> None:
    async with raw_server([CUT, reply(403)]) as server:
        async with Downloader(SETTINGS) as downloader:
            assert isinstance(await downloader.fetch(server.url(), part, ignore), Dead)
            assert part.exists()
        assert not part.exists()


# 429, 5xx -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    [of_row("429, 5xx", status) for status in (408, 425, 429, 500, 502, 503, 504, 599)]
    + [of_row("any other status", 600)],
)
async def test_429_and_5xx_are_asked_again_after_a_while(part: Path, status: int) -> None:
    answers = [reply(status, b"busy"), reply(status, b"", "Retry-After: 0"), reply(200, FILM)]
    (await download(part, answers)).assert_holds(FILM)


@pytest.mark.row("download", "429, 5xx", "206 at our byte")
async def test_a_resume_survives_a_busy_server(part: Path) -> None:
    served = await download(part, [CUT, reply(503), ranged(FILM, '"v1"')])
    served.assert_holds(FILM)
    assert served.ranges == [None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.row("download", "429, 5xx")
async def test_a_server_that_stays_busy_ends_as_interrupted(part: Path) -> None:
    served = await download(part, [reply(503)])
    served.assert_gave_up(Interrupted, "503")
    assert len(served.requests) == QUICK.waits + 1


# Redirects and addresses ----------------------------------------------------------------------------------------------


def redirect(location: str, status: int = 302) -> Answer:
    return reply(status, b"<a>moved</a>", f"Location: {location}")


@pytest.mark.row("download", "redirect")
async def test_five_redirects_are_followed(part: Path) -> None:
    hops = [redirect(f"/{n}", status) for n, status in enumerate((301, 302, 303, 307, 308))]
    served = await download(part, [*hops, reply(200, FILM)])
    served.assert_holds(FILM)
    assert [request.path for request in served.requests] == ["/lamp.mp4", "/0", "/1", "/2", "/3", "/4"]


@pytest.mark.row("download", "redirect", "one redirect too many")
async def test_six_redirects_are_refused(part: Path) -> None:
    served = await download(part, [redirect("/again")])
    served.assert_gave_up(Refused, "more than 5 redirects")
    assert len(served.requests) == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://10.0.0.1/", "private"),
        ("http://169.254.169.254/latest", "link-local"),
        ("https://[fd00::1]/", "private"),
        ("file:///etc/passwd", "file:"),
        ("data:video/mp4;base64,AAAA", "data:"),
        ("http://u:p@127.0.0.1/", "user name"),
        ("http://[::1", "cannot be read"),
        ("http://0x7f000001/", "no name of a host"),
    ],
)
@pytest.mark.row("download", "redirect", "address not allowed")
async def test_a_redirect_is_checked_like_the_first_url(part: Path, location: str, words: str) -> None:
    served = await download(part, [redirect(location)])
    served.assert_gave_up(Refused, words)
    assert len(served.requests) == 1


async def test_a_resumed_attempt_goes_through_the_first_url_again(part: Path) -> None:
    served = await download(part, [redirect("/a"), CUT, redirect("/b"), ranged(FILM, '"v1"')])
    served.assert_holds(FILM)
    assert [request.path for request in served.requests] == ["/lamp.mp4", "/a", "/lamp.mp4", "/b"]
    assert served.ranges == [None, None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:video/mp4,x", "", "lamp.mp4", "https://", "ftp://h/x"])
@pytest.mark.row("download", "address not allowed")
async def test_other_urls_are_refused_and_leave_nothing(part: Path, url: str) -> None:
    async with Downloader(SETTINGS) as downloader:
        assert isinstance(await downloader.fetch(url, part, ignore), Refused)
    assert not part.exists()


@pytest.mark.row("download", "address not allowed")
async def test_loopback_is_refused_before_connecting_unless_the_service_is_there(part: Path) -> None:
    settings = replace(SETTINGS, base_url="https://203.0.113.9/api/v1")
    served = await download(part, [reply(200, FILM)], settings)
    served.assert_gave_up(Refused, "loopback")
    assert not served.requests


# The disk -------------------------------------------------------------------------------------------------------------


@pytest.mark.row("download", "disk full")
async def test_a_full_disk_is_told_as_such(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes no byte, with the same error as a full disk."""
    really_open = aiofiles.open
    monkeypatch.setattr(aiofiles, "open", lambda _path, _mode: really_open("/dev/full", "r+b"))
    served = await download_ignoring_part(part, [reply(200, FILM, 'ETag: "v1"')])
    served.assert_gave_up(DiskFull, "No space left")


async def download_ignoring_part(part: Path, answers: Sequence[Answer]) -> Served:
    async with raw_server(answers) as server, Downloader(SETTINGS) as downloader:
        return Served(await downloader.fetch(server.url(), part, ignore), server, part)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EROFS, Unwritable), (errno.EIO, Unwritable)],
)
async def test_a_part_that_cannot_be_opened_is_told_before_anything_is_asked(
    part: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[object]
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(code, "refused by the test")

    monkeypatch.setattr(aiofiles, "open", refuse)
    served = await download_ignoring_part(part, [reply(200, FILM)])
    served.assert_gave_up(kind, "refused by the test")
    assert not served.requests


@pytest.mark.row("download", "not writable")
async def test_a_folder_that_is_gone_is_unwritable(tmp_path: Path) -> None:
    served = await download_ignoring_part(tmp_path / "gone" / "lamp.mp4.part", [reply(200, FILM)])
    served.assert_gave_up(Unwritable, "No such file")


async def test_a_part_that_is_another_name_of_a_published_video_does_not_harm_it(tmp_path: Path, part: Path) -> None:
    """A crash between link and unlink leaves such a part."""
    published = tmp_path / "lamp.mp4"
    published.write_bytes(OTHER_FILM)
    part.hardlink_to(published)
    (await download(part, [reply(200, FILM)])).assert_holds(FILM)
    assert published.read_bytes() == OTHER_FILM


async def test_a_symlink_in_the_place_of_the_part_is_not_followed(tmp_path: Path, part: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    part.symlink_to(precious)
    (await download(part, [reply(200, FILM)])).assert_holds(FILM)
    assert not part.is_symlink()
    assert precious.read_bytes() == b"precious"


# Cancellation and company ---------------------------------------------------------------------------------------------


def open_files(folder: Path) -> list[str]:
    links = (link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return [str(target) for target in links if str(target).startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
async def test_a_cancellation_in_the_middle_leaves_no_open_file_no_part_and_no_connection(part: Path) -> None:
    big = film(8_000_000)
    arrived = anyio.Event()

    async def stall(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(200, big[:5_000_000], length=len(big))(request, writer)
        await request.client_closes()

    def watch(count: int, _total: int | None) -> None:
        if count >= 3_000_000:
            arrived.set()

    async with raw_server([stall]) as server, Downloader(SETTINGS) as downloader:
        async with anyio.create_task_group() as group:
            group.start_soon(downloader.fetch, server.url(), part, watch)
            with anyio.fail_after(10):
                await arrived.wait()
            assert open_files(part.parent)
            group.cancel_scope.cancel()
            await server.all_closed.wait()
        assert not open_files(part.parent)
        assert not part.exists()


async def test_many_at_once_share_the_connections(tmp_path: Path) -> None:
    may_go, three_are_here = asyncio.Event(), asyncio.Event()

    async def held_back(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) >= 3:
            three_are_here.set()
        await may_go.wait()
        await reply(200, FILM)(request, writer)

    results: list[Result] = []

    async def one(n: int) -> None:
        results.append(await downloader.fetch(server.url(f"/{n}"), tmp_path / f"{n}.part", ignore))

    settings = replace(SETTINGS, connections=3)
    async with (
        raw_server([held_back]) as server,
        Downloader(settings) as downloader,
        anyio.create_task_group() as group,
    ):
        for n in range(20):
            group.start_soon(one, n)
        with anyio.fail_after(10):
            await three_are_here.wait()
        await anyio.wait_all_tasks_blocked()
        assert server.connections == 3
        may_go.set()
    assert [type(result) for result in results] == [Fetched] * 20


async def test_a_video_is_on_the_disk_itself_before_it_is_told(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, int]] = []
    really_sync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    (await download(part, [reply(200, FILM)])).assert_holds(FILM)
    assert synced == [(part.stat().st_ino, len(FILM))]
