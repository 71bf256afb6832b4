"""What summaries and the status have in common: runs grouped by what befell them, and what to do about it."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.records import Failure, Record, Status
from batchgen.report.commands import Commands
from batchgen.report.messages import advice
from batchgen.report.telling import COUNT_WORDS
from batchgen.report.words import clean, counted, cut

EXAMPLES = 3
LONGEST_WORDS = 300
MOST_IDS_IN_A_COMMAND = 10

DOUBTFUL = (Status.IN_DOUBT, Status.SUBMITTING)
UNFINISHED = (Status.PENDING, Status.SUBMITTED, Status.SUCCEEDED)

_NO_REASON = Failure("unknown", "No reason was given.")


@dataclass(frozen=True, slots=True)
class Case:
    """One run and what befell it. `run_id` is None where the service has not named it."""

    id: str
    run_id: str | None
    message: str

    @property
    def name(self) -> str:
        """The run as a person can find it, here and in the account."""
        return f"{clean(self.id)} ({clean(self.run_id)})" if self.run_id else clean(self.id)


@dataclass(frozen=True, slots=True)
class Group:
    """Runs with the same code of failure, in the order in which they came."""

    code: str
    cases: tuple[Case, ...]

    @property
    def count(self) -> int:
        """How many runs."""
        return len(self.cases)


def grouped(failed: Iterable[tuple[Record, Failure]]) -> tuple[Group, ...]:
    """Runs and what befell them by code, the most frequent first."""
    by_code: dict[str, list[Case]] = {}
    for record, failure in failed:
        case = Case(record.id, record.run_id, failure.message)
        by_code.setdefault(failure.code or _NO_REASON.code, []).append(case)
    groups = [Group(code, tuple(found)) for code, found in by_code.items()]
    return tuple(sorted(groups, key=lambda group: -group.count))


def with_status(records: Iterable[Record], *statuses: Status) -> tuple[Record, ...]:
    """The records that have one of these statuses."""
    return tuple(record for record in records if record.status in statuses)


def failures(records: Iterable[Record]) -> tuple[Group, ...]:
    """The failed runs by code."""
    return grouped((record, record.error or _NO_REASON) for record in with_status(records, Status.FAILED))


def counts(records: Iterable[Record]) -> dict[Status, int]:
    """How many records have which status; every status is there."""
    found = Counter(record.status for record in records)
    return {status: found[status] for status in Status}


def count_words(records: Collection[Record]) -> str:
    """The counts that are not zero, in a line."""
    found = counts(records)
    parts = ((sum(found[status] for status in statuses), word) for statuses, word in COUNT_WORDS)
    return " · ".join(f"{number:,} {word}" for number, word in parts if number)


def group_lines(title: str, groups: Collection[Group], *, silent: Collection[str] = ()) -> list[str]:
    """A section: each code with its number, a few examples, and what to do (not for the codes in `silent`)."""
    if not groups:
        return []
    lines = [f"{title} ({sum(group.count for group in groups):,}):"]
    for group in groups:
        lines += _case_lines(group)
        if group.code not in silent:
            lines.append(f"    {advice(group.code)}")
    return lines


def _case_lines(group: Group) -> list[str]:
    """A code, its number and a few examples; words that all of its runs share stand there once."""
    head = f"  {group.count:,} × {clean(group.code)}"
    shown, more = group.cases[:EXAMPLES], group.count - EXAMPLES
    if len({case.message for case in group.cases}) == 1:
        names = ", ".join(case.name for case in shown) + (f", … and {more:,} more" if more > 0 else "")
        return [f"{head}: {_words(shown[0].message)}", f"      {names}"]
    examples = [f"      {case.name}: {_words(case.message)}" for case in shown]
    return [head, *examples, *([f"      … and {more:,} more"] if more > 0 else [])]


def _words(text: str) -> str:
    return cut(clean(text), LONGEST_WORDS)


def doubt_lines(records: Iterable[Record], commands: Commands) -> list[str]:
    """The section on runs in doubt: which, since when, and the exact commands that decide them."""
    doubtful = with_status(records, *DOUBTFUL)
    if not doubtful:
        return []
    shown = doubtful[:MOST_IDS_IN_A_COMMAND]
    lines = [
        f"In doubt ({len(doubtful):,}): nobody knows whether the service created these and took the money.",
        *(f"    {_doubt(record)}" for record in shown),
    ]
    if len(doubtful) > len(shown):
        lines.append(f"    … and {len(doubtful) - len(shown):,} more, listed by: {commands.resolve(())}")
    ids = [record.id for record in shown]
    return [
        *lines,
        "  They are not sent again by themselves. Look for them in your account, by model and time; then:",
        f"    it is there:            {commands.resolve(ids[:1], '--adopt', 'RUN_ID')}",
        f"    it is not there:        {commands.resolve(ids, '--not-created')}",
        f"    it cannot be found out: {commands.resolve(ids, '--abandon')}",
    ]


def _doubt(record: Record) -> str:
    words = record.error.message if record.error else "The program ended during its submission."
    current = record.current
    sent = f" (sent {clean(current.started_at)} to {clean(record.model)})" if current and current.started_at else ""
    return f"{clean(record.id)}: {_words(words)}{sent}"


def next_lines(records: Collection[Record], commands: Commands, stopped: Failure | None = None) -> list[str]:
    """The commands to go on with, each after what it does."""
    steps = next_steps(records, commands, stopped)
    return [line for label, command in steps for line in (f"{label}:", f"    {command}")]


def next_steps(records: Collection[Record], commands: Commands, stopped: Failure | None) -> list[tuple[str, str]]:
    """What can be done next: words, and the command."""
    steps = []
    if unfinished := with_status(records, *UNFINISHED):
        # Without a limit the same command would spend more than was ever allowed; the new one is the user's to name.
        limit = ("--max-cost", "USD") if stopped and stopped.code == "max_cost" else ()
        steps.append((f"Go on with {counted(len(unfinished), 'unfinished run')}", commands.run(*limit)))
    if failed := with_status(records, Status.FAILED):
        label = f"Render {counted(len(failed), 'failed run')} anew, at the price of new ones"
        steps.append((label, commands.run("--retry-failed")))
    return steps


def videos_folder(records: Iterable[Record], commands: Commands) -> str | None:
    """The folder that all downloaded videos have in common, as seen from where the user is."""
    folders = {posixpath.dirname(commands.from_here(file.path)) for record in records for file in record.files}
    if not folders:
        return None
    try:
        return posixpath.commonpath(folders) or "."
    except ValueError:  # absolute and relative ones together
        return None


def groups_json(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Groups for programs, with every run."""
    return [
        {
            "code": group.code,
            "count": group.count,
            "advice": advice(group.code),
            "runs": [{"id": case.id, "run_id": case.run_id, "message": case.message} for case in group.cases],
        }
        for group in groups
    ]


def doubts_json(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Runs in doubt for programs."""
    return [
        {
            "id": record.id,
            "model": record.model,
            "sent_at": record.current.started_at if record.current else None,
            "key": record.key,
            "error": failure_json(record.error),
        }
        for record in with_status(records, *DOUBTFUL)
    ]


def commands_json(records: Collection[Record], commands: Commands) -> Mapping[str, str | None]:
    """The commands for programs; null where there is nothing for them to do."""
    doubtful = [record.id for record in with_status(records, *DOUBTFUL)]
    return {
        "go_on": commands.run() if with_status(records, *UNFINISHED) else None,
        "retry_failed": commands.run("--retry-failed") if with_status(records, Status.FAILED) else None,
        "resolve": commands.resolve(doubtful) if doubtful else None,
    }


def failure_json(failure: Failure | None) -> dict[str, str] | None:
    """A failure for programs."""
    return {"code": failure.code, "message": failure.message} if failure else None
