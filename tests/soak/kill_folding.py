"""`python -m tests.soak.kill_folding …`: the program, except that it folds its journal after every few writes.

In the real one a fold while the batch runs comes once in 8 MiB of journal: too seldom for a kill to hit it.
"""

from __future__ import annotations

from batchgen.__main__ import main
from batchgen.store import ledger

FOLD_AT_BYTES = 4096


class FoldsOften(ledger.Ledger):
    """A ledger to which a few kilobytes of journal are a lot."""

    async def _fold_if_large(self) -> None:
        self._fold_at = FOLD_AT_BYTES
        await super()._fold_if_large()


if __name__ == "__main__":
    ledger.Ledger = FoldsOften  # type: ignore[misc]
    main()
