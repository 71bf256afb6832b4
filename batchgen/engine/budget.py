"""The spending limit while submissions are under way: what is set aside, and who has to wait for a price."""

from __future__ import annotations

import anyio

from batchgen.core.cost import Admission, admit
from batchgen.records import Failure


class Budget:
    """Sets money aside before each POST. Amounts in micro-dollars; a limit of None lets everything through."""

    def __init__(self, limit: int | None, counted: int) -> None:
        self._limit = limit
        self._counted = counted
        self._reserved: dict[str, int | None] = {}
        self._settled = anyio.Event()

    async def reserve(self, name: str, price: int | None) -> Failure | None:
        """Waits until the run fits and sets its price aside; gives the reason where it does not fit."""
        while True:
            unknown = sum(held is None for held in self._reserved.values())
            set_aside = sum(held or 0 for held in self._reserved.values())
            match admit(self._limit, self._counted, set_aside, price, unknown):
                case Admission.YES:
                    if self._limit is not None:
                        self._reserved[name] = price
                    return None
                case Admission.NO if not self._reserved:
                    return self._exhausted(price)
                case _:  # something under way may turn out cheaper, or be refused
                    self._settled = anyio.Event()
                    await self._settled.wait()

    def settle(self, name: str, spent: int) -> None:
        """The run's POST has ended; this much counts as spent by it (0 where nothing was created)."""
        self._reserved.pop(name, None)
        self._counted += spent
        self._settled.set()

    def give_back(self, refunded: int) -> None:
        """The service has given money back."""
        self._counted -= refunded
        self._settled.set()

    def _exhausted(self, price: int | None) -> Failure:
        spent, limit = self._counted / 1e6, (self._limit or 0) / 1e6
        wanted = "a run of unknown price" if price is None else f"the next run (about ${price / 1e6:.3f})"
        return Failure("max_cost", f"${spent:.3f} of --max-cost ${limit:.3f} is spent; {wanted} does not fit any more.")
