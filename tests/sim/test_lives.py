"""A slice of the simulation: each seed is a life of crashes, faults and a person's acts, and each must end well.

The full one is `python -m tests.soak simulation`; what a seed does is printed by `python -m tests.sim SEED`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sim import watch
from tests.sim.script import Failed, simulate

LIVES, AT_A_TIME = 160, 16


@pytest.mark.parametrize("first", range(0, LIVES, AT_A_TIME))
def test_nothing_is_lost_and_nothing_paid_twice_whatever_happens(first: int) -> None:
    for seed in range(first, first + AT_A_TIME):
        simulate(str(seed))


def test_the_same_seed_is_the_same_life_to_the_letter() -> None:
    assert simulate("twin").trace == simulate("twin").trace != simulate("other").trace


def test_a_seed_is_the_same_life_in_another_process() -> None:
    """Hashes of strings differ from process to process, and must decide nothing."""
    traces = {
        subprocess.run(
            [sys.executable, "-m", "tests.sim", "4"],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(traces) == 1
    assert "accepted" in traces.pop()


def test_a_failure_names_the_seed_that_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.Watch, "_files_are_whole", lambda self, _: self.fail("on purpose"))
    with pytest.raises(Failed, match=r"seed 7: Broken: on purpose\nrepeat it with: python -m tests.sim 7\n"):
        simulate("7")
