"""`python -m tests.sim SEED`: lives that life once more, and prints all that happened in it."""

from __future__ import annotations

import sys

from tests.sim.script import simulate

if __name__ == "__main__":
    sys.stdout.write(simulate(sys.argv[1]).trace + "\n")
