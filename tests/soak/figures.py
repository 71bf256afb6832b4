"""What a part of the soak is asked for, and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """How much of a part to do. `share` 1 is the full soak; the same seed repeats the same choices."""

    share: float
    seed: int
    folder: Path

    def count(self, full: int) -> int:
        """How often, where the full soak does it `full` times; never less than once."""
        return max(1, round(full * self.share))


@dataclass(frozen=True)
class Figures:
    """What a part has done and what it found, in words for a table. A part that finds a loss raises instead."""

    done: str
    found: str
