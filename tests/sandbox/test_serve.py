"""The service as a client meets it: over real sockets, with a clock of the test's own where time matters."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from batchgen.errors import StateDamaged, StateLocked, UsageProblem
from batchgen.sandbox.faults import Fault
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.serve import Served, serve_until_cancelled, serving, steady_clock
from tests.sandbox.client import MODEL, Client

pytestmark = pytest.mark.anyio


@dataclass
class HandClock:
    """A clock that the test moves."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def rehearsed(folder: Path, clock: HandClock, **options: Any) -> AsyncIterator[Client]:
    async with serving(SandboxOptions(**options), folder, clock=clock) as served:
        yield Client(served)


async def test_a_run_goes_from_pending_over_processing_to_a_video(tmp_path: Path) -> None:
    clock = HandClock()
    async with rehearsed(tmp_path, clock) as client:
        created = (await client.post(duration="4", generate_audio=False)).json
        assert created["status"] == "pending"
        assert created["id"].startswith("run_")
        assert created["costUsd"] == 48_211  # $.048, as in runbase-api.md
        seen = []
        for _ in range(12):
            seen.append((await client.get(created["id"])).json["status"])
            clock.now += 30.0
    assert sorted(set(seen), key=seen.index) == ["pending", "processing", "succeeded"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"[1]", "invalid_json"),
        (b'{"model": "m", "input": {"prompt": NaN}}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        ({"input": {"prompt": "x"}}, "missing_model"),
        ({"model": MODEL}, "missing_input"),
        ({"model": "no/such", "input": {"prompt": "x"}}, "model_not_found"),
        ({"model": MODEL, "input": {}}, "invalid_input"),
        ({"model": MODEL, "input": []}, "invalid_input"),
        ({"model": MODEL, "input": {"prompt": "x", "duration": "5"}}, "invalid_input"),
        ({"model": MODEL, "input": {"prompt": "x", "image_urls": [1]}}, "invalid_input"),
    ],
)
async def test_a_body_that_cannot_be_used_is_a_400_with_its_code(served: Served, document: object, code: str) -> None:
    heard = await Client(served).post_json(document)
    assert (heard.status, heard.code) == (400, code)
    assert isinstance(heard.json["error"]["message"], str)


@pytest.mark.parametrize(("key", "code"), [("", "missing_api_key"), ("pk-1", "invalid_api_key")])
async def test_a_key_is_needed(served: Served, key: str, code: str) -> None:
    for heard in (await Client(served, key).post(), await Client(served, key).get("run_x")):
        assert (heard.status, heard.code) == (401, code)


async def test_a_run_is_there_for_its_own_key_only(served: Served) -> None:
    run = (await Client(served).post()).json["id"]
    for heard in (await Client(served, "sk-other").get(run), await Client(served).get("run_no")):
        assert (heard.status, heard.code) == (404, "run_not_found")


async def test_what_is_not_there_is_an_error_in_the_documented_shape(served: Served) -> None:
    client = Client(served)
    assert (await client.fetch(f"{served.origin}/nothing")).code == "not_found"
    assert (await client.send("DELETE", f"{served.base_url}/runs", {})).code == "method_not_allowed"
    assert (await client.fetch(f"{served.origin}/files/9999999999999/run_no.mp4")).status == 404
    assert (await client.post_json(b"x" * 2_000_000)).status in {0, 413}


async def test_posts_and_gets_share_one_strict_window_for_each_key(tmp_path: Path) -> None:
    clock = HandClock()
    async with rehearsed(tmp_path, clock, rate_limit=(3, 10.0), latency_scale=0) as client:
        run = (await client.post()).json["id"]
        clock.now += 5
        assert [(await client.get(run)).status for _ in range(2)] == [200, 200]
        limited = await client.post()
        assert (limited.status, limited.code) == (429, "RATE_LIMITED")
        assert "retry-after" not in limited.headers
        assert (await Client(client.served, "sk-second").post()).status == 201
        clock.now += 5
        assert [(await client.get(run)).status for _ in range(2)] == [200, 429]
        assert (await client.books())["rate_limited"] == 2


async def test_the_balance_is_spent_refunded_and_topped_up(tmp_path: Path) -> None:
    clock = HandClock()
    async with rehearsed(tmp_path, clock, balance_micro_usd=100_000) as client:
        for prompt in ("good", "[fault:run-failed]"):
            assert (await client.post(prompt, generate_audio=False)).status == 201
        broke = await client.post("too much")
        assert (broke.status, broke.code) == (402, "insufficient_balance")
        assert (await client.books())["balance_micro_usd"] == 100_000 - 2 * 48_211
        clock.now += 1000
        assert (await client.books())["balance_micro_usd"] == 100_000 - 48_211
        assert (await client.post("again")).status == 201
        topped = await client.send("POST", f"{client.served.origin}/sandbox/topup", {}, b'{"micro_usd": 50000}')
        assert topped.json["balance_micro_usd"] == 100_000 - 2 * 48_211 + 50_000
        assert (await client.post("once more")).status == 201
        wrong = await client.send("POST", f"{client.served.origin}/sandbox/topup", {}, b'{"micro_usd": true}')
        assert wrong.code == "invalid_input"


async def test_credit_ends_after_a_sum_until_someone_tops_up(tmp_path: Path) -> None:
    faults = (Fault.parse("post-402=90000"),)
    async with rehearsed(tmp_path, HandClock(), faults=faults) as client:
        assert [(await client.post()).status for _ in range(3)] == [201, 201, 402]
        await client.send("POST", f"{client.served.origin}/sandbox/topup", {}, b'{"micro_usd": 10000}')
        assert [(await client.post()).status for _ in range(2)] == [201, 402]


async def test_a_price_that_nobody_knows_is_flat(served: Served) -> None:
    heard = await Client(served).post_json({"model": "hailuo/pro", "input": {"prompt": "x"}})
    assert heard.json["costUsd"] == 100_000


async def test_a_url_expires_and_a_new_poll_gives_a_fresh_one(tmp_path: Path) -> None:
    clock = HandClock()
    async with rehearsed(tmp_path, clock, latency_scale=0, url_ttl=60) as client:
        run = (await client.post()).json["id"]
        url = (await client.get(run)).json["output"]["urls"][0]
        assert (await client.fetch(url)).status == 200
        clock.now += 60
        dead = await client.fetch(url)
        assert (dead.status, dead.code) == (403, "url_expired")
        fresh = (await client.get(run)).json["output"]["urls"][0]
        assert (await client.fetch(fresh)).status == 200


async def test_a_download_has_length_etag_and_ranges(served: Served) -> None:
    client = Client(served)
    url = await client.url_of()
    whole = await client.fetch(url)
    assert whole.whole
    assert whole.headers["content-type"] == "video/mp4"
    part = await client.fetch(url, Range="bytes=5-9", If_Range=whole.headers["etag"])
    assert (part.status, part.body) == (206, whole.body[5:10])
    assert (await client.fetch(url, Range="bytes=5-9", If_Range='"other"')).status == 200
    assert (await client.fetch(url, Range=f"bytes={len(whole.body)}-")).status == 416


async def test_a_restart_keeps_runs_money_and_files(tmp_path: Path) -> None:
    clock = HandClock()
    async with rehearsed(tmp_path, clock, balance_micro_usd=1_000_000) as client:
        runs = [(await client.post(prompt)).json["id"] for prompt in ("kept", "[fault:run-failed=No]")]
        clock.now += 1000
        before = await client.books()
        video = await client.fetch((await client.get(runs[0])).json["output"]["urls"][0])
    async with rehearsed(tmp_path, clock, balance_micro_usd=1_000_000) as client:
        after = await client.books()
        again = await client.fetch((await client.get(runs[0])).json["output"]["urls"][0])
        assert (await client.get(runs[1])).json["error"] == "No"
        assert (await client.post("next")).status == 201
        assert [run["number"] for run in (await client.books())["runs"]] == [1, 2, 3]
    assert after["balance_micro_usd"] == before["balance_micro_usd"]
    assert (again.body, again.headers["etag"]) == (video.body, video.headers["etag"])


async def test_faults_for_the_whole_service_strike_every_run(tmp_path: Path) -> None:
    async with rehearsed(tmp_path, HandClock(), faults=(Fault.parse("post-429=1@1x"),)) as client:
        assert [(await client.post(p)).status for p in ("a", "a", "b", "b")] == [429, 201, 429, 201]


async def test_a_run_that_fails_the_first_time_succeeds_when_it_is_asked_for_again(tmp_path: Path) -> None:
    clock = HandClock()
    statuses = []
    for _ in range(2):  # the second time after a restart
        async with rehearsed(tmp_path, clock, latency_scale=0) as client:
            statuses.append((await client.get((await client.post("[fault:run-failed@1x]")).json["id"])).json["status"])
    assert statuses == ["failed", "succeeded"]


async def test_a_video_is_not_there_before_its_run_has_succeeded(tmp_path: Path) -> None:
    clock = HandClock()
    async with rehearsed(tmp_path, clock) as client:
        run = (await client.post()).json["id"]
        url = f"{client.served.origin}/files/9999999999999/{run}"
        assert (await client.fetch(f"{url}.mp4")).status == 404
        clock.now += 1000
        wanted = {".mp4": 200, "": 404, "-1.mp4": 404, "-2.mp4": 404, "-" + "9" * 5000 + ".mp4": 404}
        assert {end: (await client.fetch(url + end)).status for end in wanted} == wanted


async def test_the_same_seed_makes_the_same_rehearsal(tmp_path: Path) -> None:
    faults = tuple(Fault.parse(f"{name}@0.3") for name in ("run-failed", "created-500", "poll-500"))
    told = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        async with rehearsed(tmp_path / folder, HandClock(), faults=faults, seed=seed, rate_limit=None) as client:
            created = [await client.post(f"p{number}") for number in range(20)]
            runs = (await client.books())["runs"]
            polls = [(await client.get(run["id"])).status for run in runs]
            told.append(([heard.status for heard in created], [run["ready_at"] for run in runs], polls))
    assert told[0] == told[1]
    assert all(one != other for one, other in zip(told[0], told[2], strict=True))


async def test_sixty_four_clients_at_once_each_get_their_own_run(served: Served) -> None:
    client, found = Client(served), []

    async def one(number: int) -> None:
        run = (await client.post(f"crowd {number}")).json["id"]
        found.append((await client.get(run)).json["id"])

    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(one, number)
    assert len(set(found)) == 64


async def test_the_first_image_that_can_be_had_is_in_the_video(served: Served) -> None:
    client, image = Client(served), io.BytesIO()
    Image.new("RGB", (64, 64), (250, 20, 20)).save(image, "PNG")
    good = f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"
    cases: list[list[str]] = [[], ["http://127.0.0.1:1/none.png"], ["http://127.0.0.1:1/none.png", good]]
    videos = [(await client.fetch(await client.url_of("Lamp", image_urls=urls))).body for urls in cases]
    assert videos[0] == videos[1] != videos[2]


async def test_one_video_asked_for_by_many_at_once_is_rendered_once(tmp_path: Path) -> None:
    async with rehearsed(tmp_path, HandClock(), latency_scale=0, rate_limit=None) as client:
        url = await client.url_of()
        etags = set()

        async def fetch() -> None:
            etags.add((await client.fetch(url)).headers["etag"])

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(fetch)
        assert len(etags) == 1
        assert len([*(tmp_path / "videos").iterdir()]) == 1


async def test_it_stops_while_a_client_waits_and_ends_that_wait(tmp_path: Path) -> None:
    heard = []

    async def wait(client: Client) -> None:
        heard.append(await client.post("[fault:created-hang]"))

    async with anyio.create_task_group() as group, rehearsed(tmp_path, HandClock()) as client:
        group.start_soon(wait, client)
        while not (await client.books())["runs"]:  # noqa: ASYNC110 (the service tells nobody of its own accord)
            await anyio.sleep(0.01)
    assert heard[0].ending != "open"  # it was not the client that lost patience


async def test_a_port_in_use_is_a_usage_problem(served: Served, tmp_path: Path) -> None:
    port = int(served.origin.rpartition(":")[2])
    with pytest.raises(UsageProblem, match="cannot be served"):
        async with serving(SandboxOptions(), tmp_path, port=port):
            pass


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000)])
async def test_an_address_that_is_none_is_a_usage_problem(tmp_path: Path, host: str, port: int) -> None:
    with pytest.raises(UsageProblem):
        async with serving(SandboxOptions(), tmp_path, host=host, port=port):
            pass


async def test_a_folder_in_use_or_damaged_is_refused(tmp_path: Path) -> None:
    async with serving(SandboxOptions(), tmp_path):
        with pytest.raises(StateLocked):
            async with serving(SandboxOptions(), tmp_path):
                pass
    (tmp_path / "ledger.jsonl").write_text("nonsense\n")
    with pytest.raises(StateDamaged):
        async with serving(SandboxOptions(), tmp_path):
            pass


async def test_an_error_in_the_callers_block_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with serving(SandboxOptions(), tmp_path):
            raise KeyError


async def test_the_command_tells_where_it_serves_and_stops_when_cancelled(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        told: list[Served] = []

        def ready(served: Served) -> None:
            told.append(served)
            scope.cancel()

        await serve_until_cancelled(SandboxOptions(), tmp_path, "127.0.0.1", 0, ready)
    assert told[0].base_url == f"{told[0].origin}/api/v1"


async def test_an_idle_connection_is_closed_after_the_idle_timeout(tmp_path: Path) -> None:
    async with serving(SandboxOptions(idle_timeout=0.05), tmp_path) as served:
        heard = await Client(served).send("GET", f"{served.origin}/sandbox/ledger", {"Connection": "keep-alive"})
    assert heard.ending == "closed"
    assert heard.whole


def test_the_clock_tells_the_time_of_day() -> None:
    assert abs(steady_clock()() - time.time()) < 60
