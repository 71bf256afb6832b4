"""The exit code: where several hold, the one that stands first in 5, 3, 130 or 143, 4, 1, 0."""

from __future__ import annotations

from itertools import product

import pytest

from batchgen.core.outcome import Ending, exit_code
from batchgen.errors import StateUnwritable
from batchgen.records import Failure, Status
from tests.core.samples import in_status

WHY = Failure("why", "Because.")


@pytest.mark.parametrize("signal", [None, 130, 143])
@pytest.mark.parametrize("rest", [(), (Status.DOWNLOADED,), (Status.FAILED,), (Status.DOWNLOADED, Status.FAILED)])
def test_the_first_of_the_ranking_wins_in_every_combination(signal: int | None, rest: tuple[Status, ...]) -> None:
    for state, stopped, breaker, doubt in product((False, True), repeat=4):
        ending = Ending(
            stopped=WHY if stopped else None,
            signal_code=signal,
            state_problem=StateUnwritable("full") if state else None,
            breaker_open=breaker,
        )
        statuses = (*rest, *([Status.IN_DOUBT] if doubt else []))
        holds = [(state, 5), (stopped, 3), (signal, signal), (breaker or doubt, 4), (Status.FAILED in rest, 1)]
        wanted = next((code for held, code in holds if held), 0)
        assert exit_code(ending, [in_status(status) for status in statuses]) == wanted


@pytest.mark.parametrize("status", Status)
def test_only_downloaded_runs_are_a_full_success(status: Status) -> None:
    code = exit_code(Ending(), [in_status(Status.DOWNLOADED, "a"), in_status(status)])
    assert code == {Status.DOWNLOADED: 0, Status.IN_DOUBT: 4, Status.SUBMITTING: 4}.get(status, 1)
