"""The table of a run's life, walked whole."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen import events as ev
from batchgen.core.lifecycle import TRANSITIONS, IllegalTransition, apply
from batchgen.records import Failure, Record, SavedFile, Status
from tests.core.samples import AT, WHY, after, created, doubted, failed, in_status, intended, one_of_each, planned

S = Status
# The design's table once more, by name, so that a row that is added or lost by accident is seen.
EXPECTED = {
    (None, "planned"): S.PENDING,
    (S.PENDING, "planned"): S.PENDING,
    (S.FAILED, "planned"): S.PENDING,
    (S.DOWNLOADED, "planned"): S.PENDING,
    (S.PENDING, "intended"): S.SUBMITTING,
    (S.SUBMITTING, "not_created"): S.PENDING,
    (S.SUBMITTING, "created"): S.SUBMITTED,
    (S.SUBMITTING, "doubted"): S.IN_DOUBT,
    (S.SUBMITTING, "rejected"): S.FAILED,
    (S.SUBMITTED, "succeeded"): S.SUCCEEDED,
    (S.SUBMITTED, "failed"): S.FAILED,
    (S.SUBMITTED, "noted"): S.SUBMITTED,
    (S.SUCCEEDED, "downloaded"): S.DOWNLOADED,
    (S.SUCCEEDED, "failed"): S.FAILED,
    (S.SUCCEEDED, "noted"): S.SUCCEEDED,
    (S.DOWNLOADED, "files_missing"): S.SUCCEEDED,
    (S.IN_DOUBT, "adopted"): S.SUBMITTED,
    (S.IN_DOUBT, "released"): S.PENDING,
    (S.IN_DOUBT, "abandoned"): S.FAILED,
    (S.FAILED, "retried"): S.PENDING,
}
EVENT_OF = {event.name: event for event in one_of_each()}


def test_every_kind_of_event_is_among_the_samples() -> None:
    assert EVENT_OF.keys() == ev.EVENTS.keys()


@pytest.mark.parametrize("status", [None, *Status])
@pytest.mark.parametrize("name", sorted(ev.EVENTS))
def test_each_pair_leads_where_the_table_says_or_raises_and_changes_nothing(status: Status | None, name: str) -> None:
    record = in_status(status) if status else None
    before = repr(record)
    if wanted := EXPECTED.get((status, name)):
        assert apply(record, EVENT_OF[name]).status is wanted
    else:
        with pytest.raises(IllegalTransition, match=name):
            apply(record, EVENT_OF[name])
    assert repr(record) == before


def test_the_only_way_to_submitting_is_an_intent() -> None:
    assert {kind for (_, kind), to in TRANSITIONS.items() if to is S.SUBMITTING} == {ev.Intended}


def test_no_status_from_which_money_may_be_out_leads_to_a_new_intent_without_a_person() -> None:
    by_person = {ev.Released, ev.Abandoned, ev.Retried, ev.Planned}
    for paid in (S.IN_DOUBT, S.SUBMITTED, S.SUCCEEDED, S.DOWNLOADED):
        reached, todo = {paid}, [paid]
        while todo:
            here = todo.pop()
            for (status, kind), to in TRANSITIONS.items():
                if status is here and kind not in by_person and to not in reached:
                    reached.add(to)
                    todo.append(to)
        assert not reached & {S.PENDING, S.SUBMITTING}


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.name)
def test_an_event_comes_back_from_json_as_it_was(event: ev.Event) -> None:
    assert ev.from_json(json.loads(json.dumps(ev.to_json(event)))) == event


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"event": "unheard_of", "id": "a", "at": AT},
        {"event": ["planned"]},
        {"event": "intended", "id": "a", "at": AT},
        {"event": "intended", "id": "a", "at": AT, "key": "k", "more": 1},
        {"event": "noted", "id": "a", "at": AT, "failure": {"code": "x"}},
        {"event": "noted", "id": "a", "at": AT, "failure": None},
        {"event": "downloaded", "id": "a", "at": AT, "files": [{"path": "x"}]},
    ],
)
def test_anything_else_than_an_event_is_refused(value: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        ev.from_json(value)


texts = st.text(max_size=20)
# What chance decides at each step of a journey: which of the legal events comes, its price, and whether it is refunded.
steps = st.lists(
    st.tuples(st.integers(0, 6), st.none() | st.integers(0, 10**9), st.booleans()), min_size=1, max_size=25
)


def journey_of(choices: list[tuple[int, int | None, bool]]) -> list[ev.Event]:
    """A sequence of events that the table allows."""
    status: Status | None = None
    out: list[ev.Event] = []
    for number, (choice, cost, refunded) in enumerate(choices):
        kinds = [kind for (at, kind) in TRANSITIONS if at is status]
        kind = kinds[choice % len(kinds)]
        out.append(event_of(kind, number, cost, refunded))
        status = TRANSITIONS[status, kind]
    return out


def event_of(kind: type[ev.Event], number: int, cost: int | None, refunded: bool) -> ev.Event:
    changes = {"at": f"2026-01-02T03:04:{number:02}Z", "run_id": f"run_{number}", "cost_micro_usd": cost}
    names = {field.name for field in fields(kind)}
    known: dict[str, Any] = {name: value for name, value in (changes | {"refunded": refunded}).items() if name in names}
    return replace(EVENT_OF[kind.name], **known)


@given(texts, texts, st.binary(max_size=5).map(bytes.hex), st.none() | st.integers(min_value=0))
def test_any_texts_and_amounts_come_back_from_json(one: str, other: str, third: str, cost: int | None) -> None:
    for event in (
        ev.Doubted(id=one, at=third, failure=Failure(other, one), body=other),
        ev.Created(id=other, at=third, run_id=one, cost_micro_usd=cost),
        ev.Planned(id=one, at=third, model=other, input={one: [other, cost]}, input_sha256=third),
        ev.Downloaded(id=one, at=third, files=(SavedFile(other, 1, third), SavedFile(one, 2, other))),
    ):
        assert ev.from_json(json.loads(json.dumps(ev.to_json(event)))) == event


def _gross(record: Record) -> int:
    """All the money ever taken, whether given back or not."""
    return sum(attempt.cost_micro_usd or 0 for attempt in record.attempts)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_no_event_loses_a_run_id_or_an_attempt_with_money_in_it(choices: list[tuple[int, int | None, bool]]) -> None:
    journey = journey_of(choices)
    record: Record | None = None
    ids: set[str] = set()
    for event in journey:
        before, record = record, apply(record, event)
        if isinstance(event, ev.Created | ev.Adopted):
            ids.add(event.run_id)
            assert record.run_id == event.run_id
        assert ids <= {attempt.run_id for attempt in record.attempts}
        assert all(attempt.started_at for attempt in record.attempts)
        if before is None:
            continue
        if not isinstance(event, ev.Succeeded):  # the service may correct its price
            assert _gross(record) >= _gross(before)
        if not (isinstance(event, ev.Failed) and event.refunded) and not isinstance(event, ev.Succeeded):
            assert (record.cost_micro_usd or 0) >= (before.cost_micro_usd or 0)
        if len(record.attempts) < len(before.attempts):
            assert isinstance(event, ev.NotCreated)
            assert before.attempts[-1] == replace(before.attempts[-1], run_id=None, cost_micro_usd=None, outcome="open")


def test_a_post_that_created_nothing_leaves_no_attempt_but_its_reason() -> None:
    record = after(planned(), intended(), ev.NotCreated(id="lamp", at=AT, failure=WHY))
    assert (record.status, record.attempts, record.error) == (S.PENDING, (), WHY)


def test_a_doubt_keeps_what_the_service_said() -> None:
    record = after(planned(), intended(), doubted())
    assert record.error is not None
    assert "<html>" in record.error.message


def test_a_refund_takes_the_cost_back_and_keeps_what_was_taken() -> None:
    record = after(planned(), intended(), created(), failed())
    assert (record.cost_micro_usd, record.attempts[0].cost_micro_usd, record.run_id) == (0, 200_000, "run_lamp")


def test_a_success_without_a_price_keeps_the_price_named_at_creation() -> None:
    assert in_status(S.SUCCEEDED).cost_micro_usd == 200_000


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    assert after(planned(), intended(), created(cost=None)).cost_micro_usd is None


def test_a_changed_row_replaces_the_input_and_keeps_the_old_attempt() -> None:
    record = apply(in_status(S.DOWNLOADED), planned(prompt="Another"))
    assert (record.status, record.input, record.run_id) == (S.PENDING, {"prompt": "Another"}, None)
    assert record.attempts[0].run_id == "run_lamp"
    assert record.attempts[0].files
