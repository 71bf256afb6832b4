"""What a run of the command would do with each row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.core.plan import SENDS, Action, OnChanged, Plan, Selection, changed_fields, make_plan
from batchgen.records import Failure, Record, Run, Status
from tests.core.samples import in_status, row_of

A = Action


def plan_of(
    *records: Record, rows: tuple[Run, ...] | None = None, missing: tuple[str, ...] = (), **more: object
) -> Plan:
    runs = tuple(row_of(record) for record in records) if rows is None else rows
    return make_plan(runs, {r.id: r for r in records}, Selection(**more), missing)  # type: ignore[arg-type]


def actions(plan: Plan) -> list[Action]:
    return [step.action for step in plan.steps]


UNCHANGED = {
    Status.PENDING: A.NEW,
    Status.SUBMITTING: A.DECIDE,
    Status.IN_DOUBT: A.DECIDE,
    Status.SUBMITTED: A.RESUME,
    Status.SUCCEEDED: A.RESUME,
    Status.DOWNLOADED: A.DONE,
    Status.FAILED: A.FAILED,
}
CHANGED = {
    Status.PENDING: A.CHANGED,
    Status.SUBMITTING: A.DECIDE,
    Status.IN_DOUBT: A.DECIDE,
    Status.SUBMITTED: A.RESUME,
    Status.SUCCEEDED: A.RESUME,
    Status.DOWNLOADED: A.CHANGED,
    Status.FAILED: A.CHANGED,
}


@pytest.mark.parametrize("status", Status)
def test_a_row_as_it_was_follows_from_its_status(status: Status) -> None:
    plan = plan_of(in_status(status))
    assert actions(plan) == [UNCHANGED[status]]
    assert plan.steps[0].why


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("on_changed", OnChanged)
def test_a_changed_row_follows_from_its_status_and_the_users_word(status: Status, on_changed: OnChanged) -> None:
    record = in_status(status)
    plan = plan_of(record, rows=(row_of(record, duration="12"),), changed=on_changed)
    keeps = status is Status.DOWNLOADED and on_changed is OnChanged.KEEP
    assert actions(plan) == [A.KEEP if keeps else CHANGED[status]]
    assert "duration: not given → 12" in plan.steps[0].why or status is Status.PENDING
    asks = status is Status.DOWNLOADED and on_changed is OnChanged.ASK
    assert [step.id for step in plan.undecided] == (["lamp"] if asks else [])


def test_nothing_that_may_have_been_paid_for_is_ever_sent_unless_the_user_says_so() -> None:
    for status in set(Status) - {Status.PENDING, Status.FAILED}:
        record = in_status(status)
        for rows in ((row_of(record),), (row_of(record, duration="12"),)):
            for on_changed in (OnChanged.ASK, OnChanged.KEEP):
                plan = plan_of(record, rows=rows, changed=on_changed, retry_failed=True)
                assert plan.of(*SENDS) == plan.undecided


def test_a_new_row_is_new() -> None:
    plan = plan_of(rows=(row_of(in_status(Status.PENDING)),))
    assert actions(plan) == [A.NEW]
    assert plan.steps[0].record is None


def test_a_failed_run_is_tried_again_only_when_asked() -> None:
    assert actions(plan_of(in_status(Status.FAILED), retry_failed=True)) == [A.RETRY]


def test_a_video_that_is_gone_is_fetched_and_not_paid_again() -> None:
    record = in_status(Status.DOWNLOADED)
    assert actions(plan_of(record, missing=("lamp",))) == [A.FETCH]
    changed = (row_of(record, duration="12"),)
    assert actions(plan_of(record, rows=changed, missing=("lamp",), changed=OnChanged.KEEP)) == [A.FETCH]
    assert actions(plan_of(in_status(Status.SUBMITTED), missing=("lamp",))) == [A.RESUME]


@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.SUCCEEDED])
def test_a_run_that_is_no_longer_in_the_manifest_but_paid_for_is_followed_all_the_same(status: Status) -> None:
    gone = in_status(status, "a")
    [step] = plan_of(gone, rows=()).steps
    assert (step.action, step.run) == (A.RESUME, None)
    assert "paid for" in step.why
    [passed_over] = plan_of(gone, rows=(), only=("b",)).steps
    assert passed_over.action is A.DROPPED


def test_a_run_that_is_no_longer_in_the_manifest_is_dropped_and_comes_last() -> None:
    gone, here = in_status(Status.FAILED, "a"), in_status(Status.DOWNLOADED, "b")
    plan = plan_of(gone, here, rows=(row_of(here),))
    assert [(step.id, step.action, step.run is None) for step in plan.steps] == [
        ("b", A.DONE, False),
        ("a", A.DROPPED, True),
    ]
    assert "failed" in plan.steps[1].why


def test_rows_keep_the_manifests_order() -> None:
    records = [in_status(Status.DOWNLOADED, name) for name in "cab"]
    assert [step.id for step in plan_of(*records).steps] == ["c", "a", "b"]


def test_limit_lets_only_the_first_submissions_through_and_holds_up_nothing_else() -> None:
    statuses = [Status.PENDING, Status.SUBMITTED, Status.FAILED, Status.PENDING, Status.DOWNLOADED]
    records = [in_status(status, f"r{n}") for n, status in enumerate(statuses)]
    plan = plan_of(*records, limit=2, retry_failed=True)
    assert actions(plan) == [A.NEW, A.RESUME, A.RETRY, A.UNSELECTED, A.DONE]
    assert actions(plan_of(*records, limit=0)) == [A.UNSELECTED, A.RESUME, A.FAILED, A.UNSELECTED, A.DONE]


def test_only_leaves_every_other_row_alone_and_does_not_use_up_the_limit() -> None:
    records = [in_status(Status.PENDING, name) for name in ("lamp-1", "car", "lamp-2", "Lamp-3", "lamp-4")]
    plan = plan_of(*records, only=("lamp-*", "none"), limit=2)
    assert actions(plan) == [A.NEW, A.UNSELECTED, A.NEW, A.UNSELECTED, A.UNSELECTED]
    assert plan.counts() == {A.NEW: 2, A.UNSELECTED: 3}


def test_a_row_that_differs_only_in_its_hash_is_not_changed() -> None:
    """However the hash came to differ, the same input is never paid for twice."""
    record = replace(in_status(Status.DOWNLOADED), input_sha256="of an older spelling")
    assert actions(plan_of(record, rows=(row_of(in_status(Status.DOWNLOADED)),))) == [A.DONE]


def test_a_change_is_told_field_by_field() -> None:
    record = replace(in_status(Status.DOWNLOADED), input={"prompt": "A lamp", "seed": 1, "duration": "8"})
    row = replace(row_of(record), model="other", input={"prompt": "x" * 100, "duration": "8", "n": None})
    told = changed_fields(replace(row, input_sha256="new"), record)
    assert told == (
        f"model: {record.model} → other; prompt: A lamp → {'x' * 59}…; seed: 1 → not given; n: not given → None"
    )


def test_the_reason_of_a_failure_or_a_doubt_is_shown() -> None:
    assert plan_of(in_status(Status.FAILED)).steps[0].why == "Because."
    pending = replace(in_status(Status.PENDING), error=Failure("x", "Held back."))
    assert plan_of(pending).steps[0].why == "Held back."
    assert "ended during" in plan_of(in_status(Status.SUBMITTING)).steps[0].why
