"""What the service decides where no socket is needed to see it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batchgen.records import sha256_of
from batchgen.sandbox.faults import Fault
from batchgen.sandbox.ledger import Entry, TopUp
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.rehearsal import Rehearsal
from batchgen.sandbox.requests import Asked
from tests.sandbox.client import MODEL

POST = Asked("http://h", "Bearer sk-a", body=json.dumps({"model": MODEL, "input": {"prompt": "x"}}).encode())


def test_a_run_that_cannot_be_written_down_does_not_count() -> None:
    def full(_item: Entry | TopUp) -> None:
        raise OSError

    rehearsal = Rehearsal(SandboxOptions(), lambda: 0.0, full)
    with pytest.raises(OSError):  # noqa: PT011 (the bare one is what the disk raises)
        rehearsal.create(POST)
    assert not rehearsal.ledger.entries


def test_a_run_is_written_down_before_it_is_answered() -> None:
    saved: list[Entry | TopUp] = []
    answer = Rehearsal(SandboxOptions(), lambda: 0.0, saved.append).create(POST)
    assert [item.id for item in saved if isinstance(item, Entry)] == [json.loads(answer.body)["id"]]


def test_requests_are_counted_by_method() -> None:
    rehearsal = Rehearsal(SandboxOptions(), lambda: 0.0, lambda _item: None)
    run = json.loads(rehearsal.create(POST).body)["id"]
    for _ in range(2):
        rehearsal.poll(POST, run)
    books = json.loads(rehearsal.books().body)
    assert books["requests"] == {"post": 1, "get": 2}
    assert (books["runs"][0]["polls"], books["runs"][0]["downloads"]) == (2, 0)


def test_every_post_that_was_received_is_in_the_books_with_what_became_of_it() -> None:
    """Also those that were refused, or answered as if nothing had been created: nothing else shows a second POST."""
    options = SandboxOptions(rate_limit=(3, 10.0), faults=(Fault.parse("created-reset@1x"),))
    rehearsal = Rehearsal(options, lambda: 0.0, lambda _item: None)
    for asked in (POST, POST, replace(POST, body=b"{}"), POST):
        rehearsal.create(asked)
    books = json.loads(rehearsal.books().body)
    asked_for = sha256_of({"prompt": "x"})
    assert [(post["input_sha256"], post["faults"], post["status"], post["run"]) for post in books["posts"]] == [
        (asked_for, ["created-reset"], 201, books["runs"][0]["id"]),
        (asked_for, [], 201, books["runs"][1]["id"]),
        (sha256_of(None), [], 400, None),
        (None, [], 429, None),
    ]
