"""`python -m tests.soak [PART…]`: the long proof that nothing is lost and nothing is paid twice. See README."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.figures import Figures, Order

# Each is a module of this folder with a function `soak(order) -> Figures`.
PARTS = ("kills", "disk", "simulation", "manifests", "states", "names")


def main(arguments: list[str]) -> int:
    """Runs the parts one after the other and prints a table; 1 where one of them found a loss."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help=f"which parts; all by default: {PARTS}")
    parser.add_argument("--share", type=float, default=1.0, help="how much of the full soak to do (default 1)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the choices of an earlier soak")
    given = parser.parse_args(arguments)
    print(f"soak: share {given.share:g}, seed {given.seed}\n\n| part | done | found | time |\n|---|---|---|---|")
    lost = 0
    for part in given.parts or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="batchgen-soak-") as folder:
            try:
                figures = _soak(part, Order(given.share, given.seed, Path(folder)))
            except Exception as problem:  # one part's loss must not hide what the others find
                lost += 1
                figures = Figures("", f"**FAILED**: {type(problem).__name__}: {problem}")
        seconds = time.monotonic() - began
        print(f"| {part} | {figures.done} | {figures.found} | {seconds:,.0f} s |", flush=True)
    return min(lost, 1)


def _soak(part: str, order: Order) -> Figures:
    figures: Figures = importlib.import_module(f"tests.soak.{part}").soak(order)
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
