"""Ten thousand lives on a virtual clock, each from its own seed (tests/sim says what may happen in one)."""

from __future__ import annotations

import multiprocessing
import warnings
from collections import Counter
from collections.abc import Sequence

from tests.sim.script import simulate
from tests.soak.figures import Figures, Order

FULL = 10_000
AT_A_TIME = 25
LANES = 2


def soak(order: Order) -> Figures:
    """Lives them all. The first that ends badly raises, with the seed that repeats it."""
    count = order.count(FULL)
    seeds = [f"{order.seed}-{number}" for number in range(count)]
    chunks = [seeds[start : start + AT_A_TIME] for start in range(0, count, AT_A_TIME)]
    figures: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(min(LANES, len(chunks)), maxtasksperchild=20) as lanes:
        for some in lanes.imap_unordered(_live, chunks):
            figures += some
    f = figures
    return Figures(
        f"{count:,} seeds: {f['sessions']:,} calls of the command, {f['kills']:,} kills and {f['power cuts']:,} power "
        f"cuts, {f['posts']:,} POSTs, {f['polls']:,} polls, {f['runs']:,} runs paid for",
        f"0 lost, 0 paid twice, {f['doubts']:,} POSTs in doubt",
    )


def _live(seeds: Sequence[str]) -> Counter[str]:
    figures: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in seeds:
            figures += simulate(seed).figures
    return figures
