"""A small share of the soak's disks: the same code, so that it cannot rot."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.soak.disk import live


@pytest.mark.parametrize("part", range(4))
def test_no_life_loses_what_was_acknowledged(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred seeds; `tests/engine/test_disk.py` has some whole batches.

    In a thread of its own: what an earlier test left of an event loop in this one would be in the way of a new loop.
    """
    monkeypatch.setattr("os.fsync", lambda _fd: None)
    with ThreadPoolExecutor(1) as thread:
        for number in range(25):
            seed = f"slice-{part}-{number}"
            assert thread.submit(live, seed, tmp_path / seed).result()["sessions"] > 0, seed
