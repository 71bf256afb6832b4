"""The network between the program and the service: latencies, and whatever may be lost on the way.

It stands where httpx hands a request to its transport, and tells the request's trace what httpcore would.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from batchgen.sandbox.answer import NOT_EVEN_THE_HEAD, Answer
from batchgen.sandbox.requests import Asked
from batchgen.settings import Key

if TYPE_CHECKING:
    from tests.sim.world import Process, World

ORIGIN = "http://127.0.0.1:1"
BASE_URL = f"{ORIGIN}/api/v1"
ODD_PAUSES = (
    "",
    "0",
    "-5",
    "abc",
    "nan",
    "1e9",
    "7.5",
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "Thu, 01 Jan 2099 00:00:00 GMT",
)


@dataclass
class Weather:
    """How the network is: each a probability. `refused` and `silent` strike before the first byte, `lost` after it.

    `odd_pauses`: half of all 429 say when to come back in one of the odd ways that there are."""

    refused: float = 0.0
    silent: float = 0.0
    lost: float = 0.0
    slow_s: float = 0.1
    odd_pauses: bool = False


@dataclass
class Request:
    """One request on its way. `outcome` is what the program can know of a POST: clear, doubt, or closing."""

    number: int
    method: str
    key: Key
    run_id: str
    row: str
    body: bytes
    begun_at: float
    process: Process
    arrived: bool = False
    status: int | None = None
    received: bytes = b""
    ended: bool = False

    @property
    def words(self) -> str:
        return f"{self.method} {self.row or self.run_id} #{self.number} with {self.key.secret}"

    @property
    def code(self) -> str:
        found = re.search(rb'"code": "(\w+)"', self.received)
        return found[1].decode() if found else ""

    def names_an_id(self) -> bool:
        """Whether what came of the answer holds a whole id."""
        return re.search(rb'"id": "run_\w+"', self.received) is not None


@dataclass
class Wire:
    """Carries requests to the service and answers back."""

    world: World
    weather: Weather = field(default_factory=Weather)
    on_the_way: list[tuple[Request, asyncio.Future[Answer]]] = field(default_factory=list)
    count: int = 0

    async def handle(self, asked: httpx.Request) -> httpx.Response:
        """In the place of `httpx.AsyncHTTPTransport.handle_async_request`."""
        process, weather = self.world.process_at_work, self.weather
        if process.dead:
            raise httpx.ConnectError("nobody is there any more")
        trace, rng = asked.extensions["trace"], process.rng
        await trace("connection.connect_tcp.started", {})
        await asyncio.sleep(rng.uniform(0.001, weather.slow_s))
        roll = rng.random()
        if roll < weather.refused:
            raise httpx.ConnectError("refused")
        if roll < weather.refused + weather.silent:
            await asyncio.sleep(asked.extensions["timeout"]["connect"])
            raise httpx.ConnectTimeout("")
        await trace("http11.send_request_headers.started", {"request": _Sent(asked.method.encode())})
        if process.dead:
            raise httpx.ReadError("nobody is there any more")
        request = self._begin(asked, process)
        try:
            answer = await self._answer_to(request)
            if answer.cut == NOT_EVEN_THE_HEAD:
                raise rng.choice((httpx.ReadError, httpx.RemoteProtocolError))("reset")
        except BaseException:
            self._end(request)
            raise
        request.status = answer.status
        return httpx.Response(
            answer.status, headers=self._headers(answer, process), stream=_Body(self, request, answer)
        )

    def _begin(self, asked: httpx.Request, process: Process) -> Request:
        self.count += 1
        key = Key(asked.headers["authorization"].removeprefix("Bearer "))
        post = asked.method == "POST"
        row = self.world.row_of(asked.content) if post else ""
        run_id = "" if post else asked.url.path.rpartition("/")[2]
        request = Request(self.count, asked.method, key, run_id, row, asked.content, process.loop.time(), process)
        self.world.note(f"begin {request.words}")
        self.world.watch.begun(request)
        return request

    async def _answer_to(self, request: Request) -> Answer:
        """The request's way there, and the answer's way back."""
        rng, loop = request.process.rng, request.process.loop
        if request.process.dead:  # killed on the verge of sending it
            raise httpx.ReadError("nobody is there any more")
        if rng.random() < self.weather.lost:
            await asyncio.sleep(rng.choice((0.05, 5.0, 4000.0)))
            raise httpx.ReadError("reset")
        arrival: asyncio.Future[Answer] = loop.create_future()
        self.on_the_way.append((request, arrival))
        loop.call_later(rng.uniform(0.001, self.weather.slow_s), self._arrive, request, arrival)
        answer = await arrival
        await asyncio.sleep(answer.delay + rng.uniform(0.001, self.weather.slow_s))
        return answer

    def _arrive(self, request: Request, arrival: asyncio.Future[Answer] | None) -> None:
        """The service takes the request, whether anybody still waits for the answer or not."""
        if request.arrived or (request.process.dead and arrival):
            return  # what a dead process had sent is decided by `process_ends`
        self.on_the_way = [entry for entry in self.on_the_way if entry[0] is not request]
        request.arrived = True
        answer = self.world.service.answer_to(request)
        if arrival and not arrival.done():
            arrival.set_result(answer)

    def process_ends(self) -> None:
        """Nobody waits any more. Of what was sent and had not arrived, each half still arrives."""
        for request, arrival in list(self.on_the_way):
            if self.world.rng.random() < 0.5:
                self._arrive(request, None)
            if not arrival.done():
                arrival.set_exception(httpx.ReadError("nobody is there any more"))
        self.on_the_way.clear()

    def _headers(self, answer: Answer, process: Process) -> list[tuple[str, str]]:
        headers = [*answer.headers, ("content-type", answer.media_type)]
        if answer.status == 429 and self.weather.odd_pauses and process.rng.random() < 0.5:
            headers = [("retry-after", process.rng.choice(ODD_PAUSES))]
        return headers

    def _end(self, request: Request) -> None:
        if not request.ended and not request.process.dead:
            request.ended = True
            self.world.note(f"end {request.words}: {request.status} {len(request.received)}")
            self.world.watch.ended(request)


@dataclass
class _Sent:
    method: bytes


@dataclass
class _Body(httpx.AsyncByteStream):
    """An answer's body as it comes: in pieces, and perhaps not to its end."""

    wire: Wire
    request: Request
    answer: Answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data = self.answer.body[: self.answer.cut]
        rng = self.request.process.rng
        split = rng.randrange(len(data) + 1)
        try:
            for piece in (data[:split], data[split:]):
                await asyncio.sleep(rng.uniform(0.0, 0.01))
                self.request.received += piece
                yield piece
            if self.answer.cut is not None:
                raise httpx.RemoteProtocolError("the body broke off")
        finally:
            self.wire._end(self.request)

    async def aclose(self) -> None:
        self.wire._end(self.request)


def asked_of(request: Request) -> Asked:
    """The request as the service's decisions take it."""
    return Asked(origin=ORIGIN, authorization=f"Bearer {request.key.secret}", body=request.body)
