"""The service over HTTP: create a run, get a run. What came of a request is a value; nothing is decided here."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import httpx

from batchgen import __version__
from batchgen.core.allowance import allowance_from
from batchgen.service.exchange import LARGEST_ANSWER, Exchange, HeldBack

# httpcore looks through its whole pool at each request: several small pools are far cheaper than a large one.
POOL_SIZE = 8


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a request may take in all, and the connecting alone, in seconds."""

    post_s: float = 60.0
    get_s: float = 30.0
    connect_s: float = 10.0


class Service:
    """The API under one base URL. Use as an async context manager. Keys are given to each call and kept nowhere."""

    def __init__(self, base_url: str, deadlines: Deadlines | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._deadlines = deadlines or Deadlines()
        parts = urlsplit(base_url)
        # A proxy from the environment has no business between this program and a service on the same machine, and
        # without TLS it would be shown the key.
        self._trust_env = parts.scheme == "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1")
        self._tls = httpx.create_ssl_context(trust_env=self._trust_env)
        # A kept connection that the server closes at the wrong moment makes a false doubt, so each POST has its own.
        self._posts = _Pools(lambda: self._client(keep=0))
        self._gets = _Pools(lambda: self._client(keep=POOL_SIZE))

    def _client(self, keep: int) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls,
            trust_env=self._trust_env,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=POOL_SIZE, max_keepalive_connections=keep),
            headers={
                "User-Agent": f"batchgen/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._posts.close()
            await self._gets.close()

    async def create(self, key: str, model: str, given: Mapping[str, Any], exchange: Exchange) -> None:
        """`POST /runs`. Costs money when it arrives. Raises nothing but cancellation; see `exchange`."""
        exchange.secret = key
        content = json.dumps({"model": model, "input": given}, allow_nan=False).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        async with self._posts.one() as client:
            request = _Request("POST", f"{self._base_url}/runs", headers, content)
            await _perform(client, request, self._timeout(self._deadlines.post_s), exchange)

    async def get(self, key: str, run_id: str, exchange: Exchange) -> None:
        """`GET /runs/ID`. Free of charge. Raises nothing but cancellation; see `exchange`."""
        exchange.secret = key
        url = f"{self._base_url}/runs/{quote(run_id, safe='')}"
        async with self._gets.one() as client:
            request = _Request("GET", url, {"Authorization": f"Bearer {key}"})
            await _perform(client, request, self._timeout(self._deadlines.get_s), exchange)

    def _timeout(self, whole_s: float) -> httpx.Timeout:
        return httpx.Timeout(whole_s, connect=min(whole_s, self._deadlines.connect_s))


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None


async def _perform(client: httpx.AsyncClient, asked: _Request, timeout: httpx.Timeout, exchange: Exchange) -> None:
    """Sends the request and reads its answer into `exchange`. httpx's timeouts are for each read, so a deadline is set
    on the whole: an answer that drips in byte by byte must end too."""
    try:
        with anyio.move_on_after(timeout.read):
            request = client.build_request(
                asked.method,
                asked.url,
                headers=dict(asked.headers),
                content=asked.content,
                timeout=timeout,
                extensions={"trace": exchange.traced},
            )
            response = await client.send(request, stream=True)
            try:
                await _read(response, exchange)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
    except HeldBack:
        exchange.problem = "Held back before it was sent."
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as problem:
        _cannot_be_made(exchange, problem)
    except (httpx.HTTPError, httpx.StreamError, OSError) as problem:
        exchange.unusable = _bad_certificate(problem)
        exchange.problem = _words(problem)
    except (
        Exception
    ) as problem:  # InvalidURL, UnicodeError, OverflowError for a port…: once begun, it is lost all the same
        _cannot_be_made(exchange, problem)


def _cannot_be_made(exchange: Exchange, problem: Exception) -> None:
    """The text of such an error may show a header, and with it the key: it is not passed on."""
    exchange.unusable = True
    exchange.problem = f"The request cannot be made: the base URL or the key's text is no use ({_name(problem)})."


async def _read(response: httpx.Response, exchange: Exchange) -> None:
    exchange.status = response.status_code
    exchange.retry_after = response.headers.get("retry-after")
    exchange.date = response.headers.get("date")
    exchange.allowance = allowance_from(response.headers)
    exchange.coding = response.headers.get("content-encoding", "").strip().lower()
    async for chunk in response.aiter_raw():
        exchange.body += chunk
        if len(exchange.body) > LARGEST_ANSWER:
            return
    exchange.complete = True


def _words(problem: Exception) -> str:
    """The error in a line. The texts of these errors name hosts and ports, never headers; keys are not in them."""
    cause = problem.__cause__ or problem.__context__
    text = str(problem) or (str(cause) if cause else "")
    return f"{_name(problem)}{': ' + text if text else ''}"


def _name(problem: Exception) -> str:
    return _KINDS.get(type(problem), type(problem).__name__)


_KINDS: Mapping[type[Exception], str] = {
    httpx.ConnectError: "no connection",
    httpx.ConnectTimeout: "no connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.ReadError: "the connection broke",
    httpx.RemoteProtocolError: "the answer broke off",
    httpx.PoolTimeout: "no free connection",
}


def _bad_certificate(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(problem):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


@dataclass(slots=True)
class _Pool:
    client: httpx.AsyncClient
    used: int = 0


class _Pools:
    """As many small pools as are in use at once; a request takes the first one that has a free connection, so that
    none ever queues inside a pool (cancelling a request that does leaks the pool's place)."""

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._pools: list[_Pool] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with room for one more request."""
        pool = next((pool for pool in self._pools if pool.used < POOL_SIZE), None)
        if pool is None:
            pool = _Pool(self._make())
            self._pools.append(pool)
        pool.used += 1
        try:
            yield pool.client
        finally:
            pool.used -= 1

    async def close(self) -> None:
        """Closes every connection."""
        for pool in self._pools:
            await pool.client.aclose()
