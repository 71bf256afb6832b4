"""How a batch ended, and the exit code that says so. The one place where codes are ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.errors import BatchgenError
from batchgen.records import Failure, Record, Status

ALL_DOWNLOADED, SOME_FAILED, BAD_USAGE, ACCOUNT, IN_DOUBT, STATE = 0, 1, 2, 3, 4, 5
CTRL_C, TERMINATED = 130, 143


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a batch stopped before its end, where it did. `left`: ids left for the next session, with the reason."""

    stopped: Failure | None = None
    signal_code: int | None = None
    state_problem: BatchgenError | None = None
    breaker_open: bool = False
    left: tuple[tuple[str, Failure], ...] = ()


def exit_code(ending: Ending, records: Iterable[Record]) -> int:
    """The first of 5, 3, 130 or 143, 4, 1, 0 that holds (design, section 4). `records`: those that were meant."""
    statuses = {record.status for record in records}
    if ending.state_problem:
        return STATE
    if ending.stopped:
        return ACCOUNT
    if ending.signal_code:
        return ending.signal_code
    if ending.breaker_open or statuses & {Status.IN_DOUBT, Status.SUBMITTING}:
        return IN_DOUBT
    if statuses - {Status.DOWNLOADED}:
        return SOME_FAILED
    return ALL_DOWNLOADED
