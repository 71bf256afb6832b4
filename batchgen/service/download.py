"""Videos come down here: streamed into a part, resumed where that is safe, and judged before they count.

Every outcome goes to the table in `core.transfer`, and what it decides is done here; nothing is decided here. The
requests go to httpx's transport and not through its client, which would keep cookies, make credentials of a user name
in a URL, prepare redirects and log every URL with its signature. Proxies in the environment are not used: a proxy
resolves names itself and would so undo the rule of `service.addresses`.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, cast
from urllib.parse import urljoin

import anyio
import httpx

from batchgen.core.transfer import decide
from batchgen.core.transfer_terms import (
    Answer,
    Backoff,
    Broke,
    Case,
    Dead,
    Decision,
    DiskFull,
    Ended,
    GivenUp,
    Held,
    Interrupted,
    Keep,
    NotVideo,
    Outcome,
    Policy,
    Receive,
    Redirect,
    Refused,
    ResumeAt,
    StartOver,
    Tries,
    Unreachable,
    Unwritable,
    WriteFailed,
)
from batchgen.service.addresses import CONNECT_SECONDS, AddressRefused, CheckedTransport, Resolve, resolve_name
from batchgen.service.part import Contents, PartFailed, PartFile, open_part, remove_part

__all__ = [
    "Dead",
    "DiskFull",
    "DownloadSettings",
    "Downloader",
    "Fetched",
    "Interrupted",
    "NotVideo",
    "Refused",
    "Result",
    "Unwritable",
]

OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """How to download. Under `slow_rate` bytes a second for `slow_seconds`, or silent for as long, counts as broken.

    `base_url` is the service's, for the address rule. `connections` is how many may be open at once.
    """

    base_url: str
    policy: Policy = field(default_factory=Policy)
    connections: int = 16
    slow_rate: float = 1024.0
    slow_seconds: float = 30.0
    ssl_context: ssl.SSLContext | None = None  # default: what httpx trusts


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole video, durable on the disk as `part`."""

    bytes: int
    sha256: str
    part: Path


Result = Fetched | GivenUp


@dataclass(frozen=True, slots=True)
class _Leftover:
    """A part that this process can go on with, as long as it is asked for the same resource."""

    resource: str
    held: Held
    contents: Contents


class Downloader:
    """Fetches videos. Use as an async context manager; `fetch` may run many times at once, each with its own part."""

    def __init__(
        self, settings: DownloadSettings, *, resolve: Resolve = resolve_name, rng: random.Random | None = None
    ) -> None:
        self._settings = settings
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._transport = _transport(settings, resolve)
        # Waiting inside httpx's pool is slow and leaks its slots on a cancellation: wait here, and leave the pool open.
        self._slots = anyio.CapacityLimiter(settings.connections)
        self._leftovers: dict[Path, _Leftover] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for part in self._leftovers:
            await remove_part(part)  # no later process could trust it
        await self._transport.aclose()

    async def fetch(self, url: str, part: Path, on_bytes: OnBytes) -> Result:
        """Bring the video at `url` into `part`, however many attempts that takes within the policy's limits.

        `on_bytes(bytes so far, bytes in all or None)` is called for every chunk; it goes back to 0 on starting over.
        After `Interrupted` and `Dead`, what came is kept where a later `fetch` of the same resource into the same part
        by this downloader can go on with it; after anything else but `Fetched`, the part is gone. Never raises for what
        the network, the server or the disk do.
        """
        leftover = self._leftovers.pop(part, None)
        leftover = leftover if leftover and leftover.resource == _resource(url) else None
        keeps = False
        try:
            async with open_part(part, leftover.contents if leftover else None) as file:
                held = leftover.held if leftover and file.contents.bytes else Held()
                transfer = _Transfer(self._settings, self._transport, self._slots, self._rng, file, on_bytes, held)
                result = await transfer.run(url)
            keeps = isinstance(result, Fetched)
            if isinstance(result, Interrupted | Dead) and transfer.held.bytes and transfer.held.etag:
                self._leftovers[part] = _Leftover(_resource(url), transfer.held, file.contents)
                keeps = True
            return result
        except PartFailed as failure:
            return _disk_result(failure, self._settings.policy)
        finally:
            if not keeps:
                await remove_part(part)


@dataclass(slots=True)
class _Transfer:
    """One `fetch` under way: the only place where its standing changes."""

    settings: DownloadSettings
    transport: httpx.AsyncBaseTransport
    slots: anyio.CapacityLimiter
    rng: random.Random
    part: PartFile
    on_bytes: OnBytes
    held: Held
    tries: Tries = field(default_factory=Tries)

    async def run(self, url: str) -> Result:
        """Attempt after attempt, until the video is whole or the table gives up."""
        while True:
            match decision := await self._attempt(url):
                case Keep():
                    await self.part.make_durable()
                    contents = self.part.contents
                    return Fetched(contents.bytes, contents.digest.hexdigest(), self.part.path)
                case ResumeAt(wait=wait) | Backoff(seconds=wait):
                    await anyio.sleep(wait)
                case StartOver(wait=wait):
                    self.held = Held()
                    await anyio.sleep(wait)
                case Receive() | Redirect():
                    raise AssertionError("no attempt ends so")
                case _:
                    return decision

    async def _attempt(self, url: str) -> Decision:
        """Ask at `url` and wherever it redirects to."""
        for redirects in itertools.count():
            decision = await self._ask(url, redirects)
            if not isinstance(decision, Redirect):
                break
            try:
                url = urljoin(url, decision.location)
            except ValueError:
                return self._decide(Unreachable("a redirect leads to a URL that cannot be read"))
        return decision

    async def _ask(self, url: str, redirects: int) -> Decision:
        """One request, and the body if the answer is worth it."""
        asked_at = self.held.bytes if self.held.etag else 0
        outcome: Outcome = Ended()
        try:
            async with self.slots, self._response(url, asked_at) as response:
                decision = self._decide(Answer(response.status_code, dict(response.headers), asked_at, redirects))
                if not isinstance(decision, Receive):
                    return decision
                await self._receive(response, decision)
        except (AddressRefused, httpx.InvalidURL) as problem:
            outcome = Unreachable(str(problem))
        except (httpx.TransportError, OSError) as problem:
            outcome = Broke(str(problem) or type(problem).__name__)
        await self.part.flush()
        return self._decide(outcome)

    @contextlib.asynccontextmanager
    async def _response(self, url: str, asked_at: int) -> AsyncIterator[httpx.Response]:
        """The answer to a request for the bytes from `asked_at` on, closed on any way out."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "batchgen"}
        if asked_at:
            headers |= {"Range": f"bytes={asked_at}-", "If-Range": self.held.etag or ""}
        timeout = httpx.Timeout(CONNECT_SECONDS, read=self.settings.slow_seconds).as_dict()
        request = httpx.Request("GET", url, headers=headers, extensions={"timeout": timeout})
        with anyio.fail_after(CONNECT_SECONDS + self.settings.slow_seconds):  # a head that drips in must end too
            response = await self.transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def _receive(self, response: httpx.Response, decision: Receive) -> None:
        """Read the body into the part, as far as it comes and makes sense."""
        if decision.at == 0:
            await self.part.restart()
        contents, total = self.part.contents, decision.total
        pace = _Pace(self.settings)
        try:
            # httpx's type hides that this is a generator, which must be closed here and not when it is collected.
            chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    written = await self.part.add(chunk)
                    self.on_bytes(contents.bytes, total)
                    if contents.is_alien or (total is not None and contents.bytes > total):
                        return
                    pace.check(len(chunk), restart=written)
        finally:
            self.held = Held(contents.bytes, decision.etag, total, contents.film)

    def _decide(self, outcome: Outcome) -> Decision:
        case = Case(self.held, self.tries, self.settings.policy, datetime.now(UTC), self.rng.random())
        verdict = decide(outcome, case)
        self.tries = verdict.tries
        return verdict.decision


class _Pace:
    """Measures stretches of `slow_seconds`; silence is left to the read timeout."""

    def __init__(self, settings: DownloadSettings) -> None:
        self._seconds = settings.slow_seconds
        self._least = settings.slow_rate * settings.slow_seconds
        self._since = anyio.current_time()
        self._bytes = 0

    def check(self, count: int, *, restart: bool) -> None:
        """Count bytes; raises TimeoutError after a stretch with too few. `restart` begins anew, after a slow disk."""
        now = anyio.current_time()
        self._bytes += count
        if not restart and now - self._since < self._seconds:
            return
        if not restart and self._bytes < self._least:
            raise TimeoutError("the bytes come too slowly")
        self._since, self._bytes = now, 0


def _transport(settings: DownloadSettings, resolve: Resolve) -> httpx.AsyncBaseTransport:
    inner = httpx.AsyncHTTPTransport(
        verify=settings.ssl_context or httpx.create_ssl_context(),
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    )
    return CheckedTransport(inner, settings.base_url, resolve)


def _resource(url: str) -> str:
    """What a URL names: without its query, which in a fresh link to the same file differs in its signature."""
    try:
        return str(httpx.URL(url).copy_with(query=None, fragment=None))
    except httpx.InvalidURL:
        return ""


def _disk_result(failure: PartFailed, policy: Policy) -> Result:
    case = Case(Held(), Tries(), policy, datetime.now(UTC), chance=0.0)
    decision = decide(WriteFailed(failure.code, str(failure)), case).decision
    return decision if isinstance(decision, DiskFull) else Unwritable(str(failure))
