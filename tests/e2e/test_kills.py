"""Kill -9 at any moment loses nothing and pays nothing twice: a small share of the soak (tests/soak/kills.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.kill_scene import Flavour
from tests.soak.kills import FLAVOURS, play_round

KILLS = 3
SEED = 20_251


@pytest.mark.parametrize("flavour", Flavour)
def test_killed_again_and_again_it_comes_to_its_end(tmp_path: Path, flavour: Flavour) -> None:
    """The service's own books against the state and the files, after each kill and at the end."""
    tally = play_round(tmp_path, SEED, FLAVOURS.index(flavour), KILLS)
    assert tally.kills >= 1  # a quick machine may come to the end before the others
    assert tally.runs == 36
