"""What a run of the command would do, decided from the manifest and the saved state alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from batchgen.core.cost import paid_for
from batchgen.records import Record, Run, Status


class Action(StrEnum):
    """What is done with a run, in the order in which a batch takes them up."""

    RESUME = "resume"  # submitted or succeeded: its money is spent, so it comes first
    FETCH = "fetch"  # downloaded, but a file is gone: fetched again, not paid again
    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    DECIDE = "in doubt"  # left to a person
    FAILED = "failed"
    KEEP = "kept"  # its row has changed, and what was rendered before is kept
    DONE = "done"
    UNSELECTED = "unselected"
    DROPPED = "dropped"  # in the state, no longer in the manifest


SENDS = frozenset({Action.NEW, Action.CHANGED, Action.RETRY})
FOLLOWS = frozenset({Action.RESUME, Action.FETCH})


class OnChanged(StrEnum):
    """What to do with rows whose input has changed since they were paid for."""

    ASK = "ask"
    RENDER = "render"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs are meant: ids that match a pattern, at most so many to submit, failed ones again or not."""

    only: tuple[str, ...] = ()
    limit: int | None = None
    retry_failed: bool = False
    changed: OnChanged = OnChanged.ASK

    def picks(self, name: str) -> bool:
        """Whether --only lets a run through."""
        return not self.only or any(fnmatchcase(name, pattern) for pattern in self.only)


@dataclass(frozen=True, slots=True)
class Step:
    """One run's place in the plan, and why. `run` is None where the manifest no longer has it."""

    id: str
    action: Action
    why: str
    run: Run | None
    record: Record | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Every run of the manifest in its order, then what the state has beyond it."""

    steps: tuple[Step, ...]
    changed: OnChanged = OnChanged.ASK

    def of(self, *actions: Action) -> tuple[Step, ...]:
        """The steps with these actions."""
        return tuple(step for step in self.steps if step.action in actions)

    def counts(self) -> dict[Action, int]:
        """How many steps of each kind, without the kinds that do not occur."""
        return {a: n for a in Action if (n := sum(step.action is a for step in self.steps))}

    @property
    def undecided(self) -> tuple[Step, ...]:
        """Changed rows that were paid for, where nobody has said what to do with them."""
        if self.changed is not OnChanged.ASK:
            return ()
        return tuple(s for s in self.of(Action.CHANGED) if s.record and paid_for(s.record))


def make_plan(
    runs: Iterable[Run],
    records: Mapping[str, Record],
    selection: Selection,
    missing_files: Collection[str] = (),
) -> Plan:
    """Decides every run. `missing_files`: ids of downloaded runs of which a file is no longer there."""
    steps = [_step(run, records.get(run.id), selection, missing_files) for run in runs]
    steps = _limited(steps, selection.limit)
    known = {step.id for step in steps}
    dropped = (_dropped(record, selection) for record in records.values() if record.id not in known)
    return Plan((*steps, *dropped), selection.changed)


def _dropped(record: Record, selection: Selection) -> Step:
    """A row that was taken out of the manifest. What is paid for and not here yet is fetched all the same."""
    if record.status in (Status.SUBMITTED, Status.SUCCEEDED) and selection.picks(record.id):
        why = f"no longer in the manifest, but paid for as {record.run_id}"
        return Step(record.id, Action.RESUME, why, None, record)
    return Step(record.id, Action.DROPPED, f"no longer in the manifest ({record.status})", None, record)


def _step(run: Run, record: Record | None, selection: Selection, missing: Collection[str]) -> Step:
    action, why = _decide(run, record, selection, missing)
    if not selection.picks(run.id):
        action, why = Action.UNSELECTED, "not matched by --only"
    return Step(run.id, action, why, run, record)


def _decide(run: Run, record: Record | None, selection: Selection, missing: Collection[str]) -> tuple[Action, str]:
    if record is None:
        return Action.NEW, "not submitted yet"
    if changes := changed_fields(run, record):
        return _changed(record, changes, selection, gone=run.id in missing)
    match record.status:
        case Status.PENDING:
            return Action.NEW, record.error.message if record.error else "not submitted yet"
        case Status.SUBMITTING | Status.IN_DOUBT:
            return Action.DECIDE, record.error.message if record.error else "the program ended during its submission"
        case Status.SUBMITTED:
            return Action.RESUME, f"submitted as {record.run_id}"
        case Status.SUCCEEDED:
            return Action.RESUME, f"rendered as {record.run_id}, not downloaded yet"
        case Status.FAILED:
            why = record.error.message if record.error else "failed"
            return (Action.RETRY if selection.retry_failed else Action.FAILED), why
        case Status.DOWNLOADED:
            if run.id in missing:
                return Action.FETCH, "its file is no longer there"
            return Action.DONE, ", ".join(f.path for f in record.files)


def _changed(record: Record, changes: str, selection: Selection, *, gone: bool) -> tuple[Action, str]:
    if record.status in (Status.SUBMITTED, Status.SUCCEEDED):
        return Action.RESUME, f"its row has changed ({changes}), but the run as it was is paid for and comes first"
    if record.status in (Status.SUBMITTING, Status.IN_DOUBT):
        return Action.DECIDE, f"its row has changed ({changes}), and the run as it was is in doubt"
    if record.status is Status.DOWNLOADED and selection.changed is OnChanged.KEEP:
        if gone:
            return Action.FETCH, f"its row has changed ({changes}); the video rendered before is kept, but is gone"
        return Action.KEEP, f"its row has changed ({changes}); the video rendered before is kept"
    return Action.CHANGED, changes


def changed_fields(run: Run, record: Record) -> str:
    """What differs between the row and what the state has under its id, in words; empty where nothing does."""
    if run.model == record.model and run.input_sha256 == record.input_sha256:
        return ""
    before = {"model": record.model, **record.input}
    after = {"model": run.model, **run.input}
    names = [name for name in {**before, **after} if before.get(name, _ABSENT) != after.get(name, _ABSENT)]
    return "; ".join(f"{name}: {_shown(before, name)} → {_shown(after, name)}" for name in names)


_ABSENT = object()


def _shown(values: Mapping[str, object], name: str) -> str:
    if name not in values:
        return "not given"
    text = str(values[name])
    return text if len(text) <= 60 else text[:59] + "…"


def _limited(steps: list[Step], limit: int | None) -> list[Step]:
    """Lets only the first `limit` submissions through; what is under way already does not count."""
    if limit is None:
        return steps
    out = []
    for step in steps:
        if step.action in SENDS:
            if limit <= 0:
                step = Step(step.id, Action.UNSELECTED, "beyond --limit", step.run, step.record)
            limit -= 1
        out.append(step)
    return out
