"""POSTs whose answers break HTTP, or never come: a whole batch over real sockets, held against the service's books."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchgen.records import Status
from batchgen.service.client import Deadlines
from batchgen.settings import Key
from tests.engine.rawservice import (
    RawService,
    chunked,
    created,
    dripped,
    raw_service,
    run_body,
    sent,
    until_closed,
)
from tests.engine.rig import KEY, NeverOpen, Options, Session, runs, session
from tests.service.certificates import self_signed
from tests.service.raw_server import Answer, Request

pytestmark = pytest.mark.anyio

ID_OR_DOUBT = {Status.DOWNLOADED, Status.IN_DOUBT}


async def next_session_sends_nothing(folder: Path, service: RawService, count: int) -> None:
    """What is known stays known, and what is in doubt stays so: not one more request."""
    async with session(folder, service.base_url, runs(count)) as one:
        await one.run()
        assert one.service.begun == []
        service.holds(one.records())


# ---------------------------------------------------------------------------------- an answer that breaks off


@pytest.mark.row("POST", "2xx with an id", "2xx without an id", "begun, and no answer")
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("framed", [created, chunked, until_closed], ids=["length", "chunked", "until closed"])
async def test_an_accepted_post_whose_answer_breaks_off_at_any_byte(
    tmp_path: Path, framed: Callable[[bytes], bytes], reset: bool
) -> None:
    """One run for each byte of a 201, head and body: afterwards it is known by its right id, or is in doubt."""
    count = len(framed(run_body("run_000000000000"))) + 1
    with anyio.fail_after(1200):
        async with raw_service(lambda n, body: sent(framed(body)[:n], reset=reset)) as service:
            async with session(tmp_path, service.base_url, runs(count)) as one:
                one.desk.dispatcher.breaker = NeverOpen()
                assert await one.run() == 4
                assert service.posts == len(service.created) == count
                service.holds(one.records())
                assert set(one.statuses().values()) == ID_OR_DOUBT
                assert one.count(Status.IN_DOUBT) < count - 30 or reset  # a reset may overtake what was sent before it
            await next_session_sends_nothing(tmp_path, service, count)


# ------------------------------------------------------------------------------------ an answer about something else


async def test_an_id_that_is_another_runs_already_is_a_doubt_and_not_a_second_name(tmp_path: Path) -> None:
    """A proxy replays the first 201: the second run is paid for under an id that nobody was told."""
    with anyio.fail_after(200):
        async with raw_service(lambda _n, _body: sent(created(run_body("run_000000000000")))) as service:
            async with session(tmp_path, service.base_url, runs(2), Options(concurrency=1)) as one:
                assert await one.run() == 4
                assert one.statuses() == {"r0": Status.DOWNLOADED, "r1": Status.IN_DOUBT}
                service.holds(one.records())
            async with session(tmp_path, service.base_url, runs(3), Options(concurrency=1)) as one:
                assert await one.run() == 4  # the id is known from the state as well
                assert one.records()["r2"].status is Status.IN_DOUBT
                service.holds(one.records())


@pytest.mark.row("POST", "2xx with an id")
async def test_a_key_that_stands_in_the_ids_spoils_none(tmp_path: Path) -> None:
    """Keys are masked in what is kept of an answer, but a test key may be as short as “run”."""
    with anyio.fail_after(200):
        options = Options(keys=(Key("run"),))
        async with raw_service() as service, session(tmp_path, service.base_url, runs(3), options) as one:
            assert await one.run() == 0
            service.holds(one.records())


# -------------------------------------------------------------------------------------------- no way to the service


@pytest.mark.row("POST", "surely not sent", "2xx with an id")
async def test_a_service_that_cannot_be_connected_is_waited_for(tmp_path: Path, unused_port: int) -> None:
    """Nobody listens: no run is in doubt, each waits; and when somebody does, each is sent once."""
    with anyio.fail_after(2000):
        async with session(tmp_path, f"http://127.0.0.1:{unused_port}", runs(20)) as one:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_finish, one, 0)
                await one.until(lambda: len(one.heard_holds()) >= 3)
                assert set(one.statuses().values()) <= {Status.PENDING, Status.SUBMITTING}
                async with raw_service(port=unused_port) as service:
                    await one.until(lambda: one.count(Status.DOWNLOADED) == 20)
            assert service.posts == 20
            service.holds(one.records())


@pytest.mark.row("POST", "surely not sent", "2xx with an id")
async def test_a_name_that_does_not_resolve_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server is down for a while: the same, and the key goes nowhere meanwhile."""
    really, asked = socket.getaddrinfo, 0

    def resolve(host: Any, *given: Any, **more: Any) -> Any:
        nonlocal asked
        if host not in ("service.test", b"service.test"):
            return really(host, *given, **more)
        asked += 1
        if asked <= 8:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return really("127.0.0.1", *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with anyio.fail_after(2000):
        async with (
            raw_service() as service,
            session(tmp_path, service.server.url("", host="service.test"), runs(6)) as one,
        ):
            assert await one.run() == 0
            assert service.posts == 6
            service.holds(one.records())
            assert "not_sent" in {hold.reason.code for hold in one.heard_holds()}


@pytest.mark.row("POST", "surely not sent")
async def test_ctrl_c_while_the_service_cannot_be_reached_leaves_all_pending(tmp_path: Path, unused_port: int) -> None:
    """No doubt, no failure, exit 130."""
    with anyio.fail_after(600):
        async with session(tmp_path, f"http://127.0.0.1:{unused_port}", runs(20)) as one:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_finish, one, 130)
                await one.until(lambda: bool(one.heard_holds()))
                one.batch.drain(130)
            assert set(one.statuses().values()) == {Status.PENDING}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make a certificate")
@pytest.mark.row("POST", "unusable URL, certificate or key")
async def test_a_certificate_that_nobody_vouches_for_stops_the_batch(tmp_path: Path) -> None:
    """Exit 3, every run is pending as before, and neither the state nor what is told shows the key."""
    context = self_signed(tmp_path)
    async with raw_service(ssl_context=context) as service:
        with anyio.fail_after(200):
            async with session(tmp_path, service.base_url, runs(20)) as one:
                assert await one.run() == 3
                assert set(one.statuses().values()) == {Status.PENDING}
                assert one.ending is not None
                assert one.ending.stopped is not None
                assert one.ending.stopped.code == "unusable"
                assert KEY.secret not in f"{one.heard} {one.ending} {one.records()}"
        assert service.posts == 0
        assert service.server.requests == []
    await _goes_on(tmp_path)


@pytest.mark.row("POST", "unusable URL, certificate or key")
async def test_a_key_that_cannot_stand_in_a_header_stops_the_batch(tmp_path: Path) -> None:
    """Not a byte is sent, nothing is in doubt, and the key is not shown."""
    options = Options(keys=(Key("sk-secret\nX: 1"),))
    async with raw_service() as service:
        with anyio.fail_after(200):
            async with session(tmp_path, service.base_url, runs(5), options) as one:
                assert await one.run() == 3
                assert set(one.statuses().values()) == {Status.PENDING}
                assert "secret" not in f"{one.heard} {one.ending} {one.records()}"
        assert service.posts == 0
    await _goes_on(tmp_path)


# ----------------------------------------------------------------------------------------------------- an outage later


@pytest.mark.row("POST", "begun, and no answer")
async def test_an_answer_that_drips_ends_at_the_deadline_in_doubt(tmp_path: Path) -> None:
    """A byte a second keeps every timeout between reads happy; the deadline on the whole ends it."""
    options = Options(deadlines=Deadlines(post_s=10.0), concurrency=1)

    def answer(number: int, body: bytes) -> Answer:
        return dripped(created(body)) if number == 0 else sent(created(body))

    with anyio.fail_after(600):
        async with raw_service(answer) as service, session(tmp_path, service.base_url, runs(2), options) as one:
            assert await one.run() == 4
            assert one.statuses() == {"r0": Status.IN_DOUBT, "r1": Status.DOWNLOADED}
            service.holds(one.records())


@pytest.mark.row("POST", "2xx with an id")
async def test_a_server_that_closes_idle_connections_makes_no_doubt(tmp_path: Path) -> None:
    """It says keep-alive and closes a moment later, whenever a client that keeps connections would use one again."""

    def answer(number: int, body: bytes) -> Answer:
        async def kept_a_moment(_request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(created(body))
            await writer.drain()
            await asyncio.sleep(number % 5 * 0.04)

        return kept_a_moment

    with anyio.fail_after(2000):
        async with raw_service(answer) as service, session(tmp_path, service.base_url, runs(100)) as one:
            assert await one.run() == 0
            assert service.posts == one.count(Status.DOWNLOADED) == 100
            service.holds(one.records())


async def _goes_on(folder: Path) -> None:
    """The same command, once it is mended."""
    async with raw_service() as service:
        with anyio.fail_after(200):
            async with session(folder, service.base_url, runs(5)) as one:
                await one.run()
                service.holds(one.records())
                assert all(one.records()[f"r{n}"].status is Status.DOWNLOADED for n in range(5))


async def _finish(one: Session, code: int) -> None:
    assert await one.run() == code
