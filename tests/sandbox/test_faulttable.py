"""Every fault of the table, observed over a real socket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

import pytest

from batchgen.sandbox.faulttable import KINDS, STAGES
from batchgen.sandbox.serve import Served
from tests.sandbox.client import Client, Heard

pytestmark = pytest.mark.anyio

Check = Callable[[Heard], bool]


def refused(status: int, code: str | None = None) -> Check:
    return lambda heard: heard.status == status and code in (None, heard.code)


POSTS: dict[str, Check] = {
    **{f"post-{status}": refused(status) for status in (400, 404, 405, 408, 409, 413, 415, 422, 500, 502, 503)},
    "post-401": refused(401, "invalid_api_key"),
    "post-402": refused(402, "insufficient_balance"),
    "post-403": refused(403, "ip_not_allowed"),
    "post-spend-limit": refused(403, "api_key_spend_limit_exceeded"),
    "post-429": lambda h: refused(429, "RATE_LIMITED")(h) and "retry-after" not in h.headers,
    "post-429=7": lambda h: refused(429, "RATE_LIMITED")(h) and h.headers["retry-after"] == "7",
    "post-429-date=60": lambda h: (
        55 < (parsedate_to_datetime(h.headers["retry-after"]) - parsedate_to_datetime(h.headers["date"])).seconds < 65
    ),
    "post-usage-exceeded": refused(429, "USAGE_EXCEEDED"),
    "post-status=418": refused(418),
    "post-302": lambda h: h.status == 302 and h.headers["location"].endswith("/moved"),
    "post-302=https://example.com/x": lambda h: h.headers["location"] == "https://example.com/x",
    "post-reset": lambda h: h.ending == "reset" and not h.status,
    "post-hang=0.01": lambda h: h.ending == "closed" and not h.status,
}
CREATED: dict[str, Check] = {
    **{f"created-{status}": refused(status) for status in (408, 409, 500, 502, 503)},
    "created-status=507": refused(507),
    "created-reset": lambda h: h.ending == "reset" and not h.status,
    "created-truncated": lambda h: h.status == 201 and not h.whole and b'"id": "run_' in h.body,
    "created-truncated=9": lambda h: h.status == 201 and h.body == b'{"id": "r',
    "created-no-id": lambda h: h.status == 201 and "id" not in h.json,
    "created-not-json": lambda h: h.status == 201 and h.body.startswith(b"<html>"),
    "created-no-cost": lambda h: h.status == 201 and "costUsd" not in h.json,
    "created-hang=0.01": lambda h: h.status == 201 and h.whole,
}
POLLS: dict[str, Check] = {
    **{f"poll-{status}": refused(status) for status in (401, 402, 403, 408, 410, 425, 500, 502, 503)},
    "poll-404": refused(404, "run_not_found"),
    "poll-429=2": lambda h: refused(429, "RATE_LIMITED")(h) and h.headers["retry-after"] == "2",
    "poll-status=599": refused(599),
    "poll-not-json": lambda h: h.status == 200 and h.body.startswith(b"<html>"),
    "poll-other-id": lambda h: h.json["id"] == "run_other",
    "poll-no-cost": lambda h: "costUsd" not in h.json,
    "poll-truncated": lambda h: h.status == 200 and not h.whole,
    "poll-reset": lambda h: h.ending == "reset" and not h.status,
    "poll-hang=0.01": lambda h: h.json["status"] == "succeeded",
    "run-failed": lambda h: h.json["status"] == "failed" and h.json["error"].startswith("The model"),
    "run-failed=Too dark": lambda h: h.json["error"] == "Too dark",
    "run-ends": lambda h: h.json["status"] == "canceled" and "output" not in h.json,
    "run-ends=expired": lambda h: h.json["status"] == "expired",
    "run-never": lambda h: h.json["status"] == "pending",
    "run-never] [fault:poll-word=warming": lambda h: h.json["status"] == "warming",
    "run-videos=3": lambda h: len(set(h.json["output"]["urls"])) == 3,
    "done-no-urls": lambda h: h.json["status"] == "succeeded" and "output" not in h.json,
    "done-one-url": lambda h: h.json["output"]["url"].endswith(".mp4") and "urls" not in h.json["output"],
    "done-foreign-url": lambda h: h.json["output"]["urls"] == ["http://192.0.2.1/video.mp4"],
    "run-failed] [fault:done-error-object": lambda h: h.json["error"]["code"] == "generation_failed",
}
FILES: dict[str, Check] = {
    **{f"file-{status}": refused(status) for status in (401, 403, 404, 410, 500, 502, 503)},
    "done-expired-url": refused(403, "url_expired"),
    "file-429=5": lambda h: refused(429)(h) and h.headers["retry-after"] == "5",
    "file-status=420": refused(420),
    "file-truncated": lambda h: h.status == 200 and h.ending == "closed" and len(h.body) > 0 and not h.whole,
    "file-truncated=1000": lambda h: len(h.body) == 1000 and h.ending == "closed" and not h.whole,
    "file-reset=1000": lambda h: len(h.body) == 1000 and h.ending == "reset",
    "file-html": lambda h: h.headers["content-type"].startswith("text/html") and h.whole,
    "file-no-length": lambda h: "content-length" not in h.headers | {"transfer-encoding": ""} and b"moov" in h.body,
    "file-no-length-cut=900": lambda h: "content-length" not in h.headers and len(h.body) == 900,
    "file-chunked": lambda h: h.headers["transfer-encoding"] == "chunked" and h.body.endswith(b"\r\n0\r\n\r\n"),
    "file-weak-etag": lambda h: h.headers["etag"].startswith('W/"'),
    "file-redirect": lambda h: h.status == 302 and h.headers["location"].endswith("?direct=1"),
    "file-redirect-loop": lambda h: h.status == 302 and h.headers["location"].endswith(".mp4"),
    "file-redirect-to=http://10.0.0.1/x": lambda h: h.headers["location"] == "http://10.0.0.1/x",
    "file-magic": lambda h: h.body[4:8] != b"ftyp" and h.body[5:8] == b"typ",
    "file-flipped": lambda h: h.body[4:8] == b"ftyp" and f'"{sha(h.body)}"' != h.headers["etag"],
    "file-hang=0.01": lambda h: h.status == 200 and h.whole,
}
# Faults that take more than one request to be seen: each has a test of its own below.
LONGER = {
    "run-slow",
    "file-ignores-range",
    "file-wrong-start",
    "file-etag-changes",
    "file-length-changes",
    "file-drip",
}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def name_of(spec: str) -> str:
    return spec.rpartition("fault:")[2].partition("=")[0]


def test_every_fault_of_the_table_is_observed() -> None:
    assert set(map(name_of, [*POSTS, *CREATED, *POLLS, *FILES])) | LONGER == set(KINDS)
    assert {kind.stage for kind in KINDS.values()} == set(STAGES)


async def runs_like(client: Client, prompt: str) -> int:
    return sum(run["input"]["prompt"] == prompt for run in (await client.books())["runs"])


@pytest.mark.parametrize("spec", POSTS)
async def test_a_fault_before_creation_creates_nothing(served: Served, spec: str) -> None:
    client, prompt = Client(served), f"[fault:{spec}] before"
    heard = await client.post(prompt)
    assert POSTS[spec](heard), heard
    assert await runs_like(client, prompt) == 0


@pytest.mark.parametrize("spec", CREATED)
async def test_a_fault_after_creation_leaves_a_run_that_is_paid_for(served: Served, spec: str) -> None:
    client, prompt = Client(served), f"[fault:{spec}] after"
    heard = await client.post(prompt)
    assert CREATED[spec](heard), heard
    assert await runs_like(client, prompt) == 1


@pytest.mark.parametrize("spec", POLLS)
async def test_a_fault_of_the_run_or_its_polls_is_seen_by_a_poll(served: Served, spec: str) -> None:
    client = Client(served)
    created = await client.post(f"[fault:{spec}] poll")
    heard = await client.get(created.json["id"])
    assert POLLS[spec](heard), heard


@pytest.mark.parametrize("spec", FILES)
async def test_a_fault_of_the_download_is_seen_by_a_download(served: Served, spec: str) -> None:
    client = Client(served)
    heard = await client.fetch(await client.url_of(f"[fault:{spec}] file"))
    assert FILES[spec](heard), heard


@pytest.mark.parametrize(
    ("stage", "fault"), [("post", "post-409"), ("get", "poll-409-no"), ("get", "poll-410"), ("file", "file-410")]
)
async def test_a_header_switches_a_fault_on_for_one_request(served: Served, stage: str, fault: str) -> None:
    client = Client(served)
    run = (await client.post("header")).json["id"]
    url = (await client.get(run)).json["output"]["urls"][0]
    send: dict[str, Callable[[str], Awaitable[Heard]]] = {
        "post": lambda f: client.post("header", f),
        "get": lambda f: client.get(run, f),
        "file": lambda f: client.fetch(url, **({"X_Sandbox_Fault": f} if f else {})),
    }
    wanted = 400 if fault.endswith("no") else int(fault[-3:])
    assert (await send[stage](fault)).status == wanted
    assert (await send[stage]("")).status < 300


async def test_a_header_of_the_post_reaches_the_run_it_creates(served: Served) -> None:
    client = Client(served)
    run = (await client.post("by header", "run-failed=No, poll-no-cost")).json["id"]
    document = (await client.get(run)).json
    assert (document["status"], document["error"]) == ("failed", "No")
    assert "costUsd" not in document


async def test_a_fault_for_the_first_times_ends(served: Served) -> None:
    client = Client(served)
    run = (await client.post("[fault:poll-404@2x]")).json["id"]
    assert [(await client.get(run)).status for _ in range(4)] == [404, 404, 200, 200]


async def test_an_expired_url_is_followed_by_a_fresh_one(served: Served) -> None:
    client = Client(served)
    run = (await client.post("[fault:done-expired-url@1x]")).json["id"]
    stale = (await client.get(run)).json["output"]["urls"][0]
    fresh = (await client.get(run)).json["output"]["urls"][0]
    assert [(await client.fetch(url)).status for url in (stale, fresh)] == [403, 200]


async def test_a_slow_run_takes_so_many_times_as_long(served: Served) -> None:
    client = Client(served)
    for fault in ("run-never", "run-never] [fault:run-slow=3"):
        await client.post(f"[fault:{fault}] slow")
    runs = [run for run in (await client.books())["runs"] if run["input"]["prompt"].endswith(" slow")]
    usual, slow = (int(run["ready_at"][:4]) - int(run["created_at"][:4]) for run in runs)
    assert abs(slow - 3 * usual) <= 1


async def test_truncated_downloads_can_be_resumed_to_the_end(served: Served) -> None:
    client = Client(served)
    url = await client.url_of("[fault:file-truncated]")
    first = await client.fetch(url)
    rest = await client.fetch(url, Range=f"bytes={len(first.body)}-", If_Range=first.headers["etag"])
    assert rest.status == 206
    assert f'"{sha(first.body + rest.body)}"' == first.headers["etag"]


async def test_a_range_that_is_ignored_brings_the_whole_file(served: Served) -> None:
    client = Client(served)
    heard = await client.fetch(await client.url_of("[fault:file-ignores-range]"), Range="bytes=100-")
    assert heard.status == 200
    assert heard.body[4:8] == b"ftyp"


async def test_a_wrong_start_is_announced_as_it_is_sent(served: Served) -> None:
    client = Client(served)
    heard = await client.fetch(await client.url_of("[fault:file-wrong-start]"), Range="bytes=100-")
    assert heard.status == 206
    assert heard.headers["content-range"].startswith("bytes 107-")


async def test_a_changing_etag_makes_if_range_start_over(served: Served) -> None:
    client = Client(served)
    url = await client.url_of("[fault:file-etag-changes]")
    etag = (await client.fetch(url)).headers["etag"]
    again = await client.fetch(url, Range="bytes=100-", If_Range=etag)
    assert again.status == 200
    assert again.headers["etag"] != etag


async def test_a_changing_length_keeps_its_etag(served: Served) -> None:
    client = Client(served)
    url = await client.url_of("[fault:file-length-changes]")
    first, second = [await client.fetch(url) for _ in range(2)]
    assert len(second.body) == len(first.body) + 8
    assert first.headers["etag"] == second.headers["etag"]


async def test_a_dripping_download_comes_in_small_pieces(served: Served) -> None:
    client = Client(served)
    url = await client.url_of()
    await client.fetch(url)  # rendered now, so that only the dripping takes time
    heard = await client.send("GET", url, {"X-Sandbox-Fault": "file-drip=200"}, patience=0.4)
    assert heard.ending == "open"
    assert 0 < len(heard.body) <= 200


async def test_an_unknown_fault_in_a_prompt_is_an_invalid_input(served: Served) -> None:
    heard = await Client(served).post("[fault:post-50]")
    assert heard.status == 400
    assert "post-50" in json.dumps(heard.json)
    assert "Did you mean" in heard.json["error"]["message"]
