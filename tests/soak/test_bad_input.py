"""A small share of what the soak does with bad input: the same code, so that it cannot rot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import manifests, names, states
from tests.soak.figures import Order

PARTS = {"manifests": (manifests.soak, 0.02), "states": (states.soak, 0.01), "names": (names.soak, 0.02)}


@pytest.mark.parametrize("part", PARTS)
def test_a_small_share_of_the_soak_finds_nothing(part: str, tmp_path: Path) -> None:
    soak, share = PARTS[part]
    figures = soak(Order(share, 3, tmp_path))
    assert figures.done
    assert figures.found
