"""`python -m tests.e2e.lock_holder STATE`: another process at the state's lock, told line by line what to do.

try    tries the lock once and says `held` or `locked`; lets go at the next line
fold   opens the state, says `held`, and folds it again and again; ends at the next line
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

import anyio

from batchgen.errors import StateLocked
from batchgen.store import ledger
from batchgen.store.paths import StatePaths


def _says(word: str) -> None:
    print(word, flush=True)  # noqa: T201 (the answer to whoever tells it what to do)


def _tries(paths: StatePaths) -> None:
    try:
        with ledger.locked(paths):
            _says("held")
            sys.stdin.readline()
    except StateLocked:
        _says("locked")
        sys.stdin.readline()


async def _folds(paths: StatePaths) -> None:
    async with ledger.open_ledger(paths) as opened:
        _says("held")
        while not select.select([sys.stdin], [], [], 0)[0]:
            opened.fold()
    sys.stdin.readline()


def _main(paths: StatePaths) -> None:
    ledger.LOCK_WAIT_S = 0.0  # an answer at once, so that many tries take no time
    while line := sys.stdin.readline():
        if line.strip() == "try":
            _tries(paths)
        else:
            anyio.run(_folds, paths)


if __name__ == "__main__":
    _main(StatePaths(Path(sys.argv[1])))
