"""The spending limit while submissions are under way: what is set aside, and who has to wait for a price."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from batchgen.core.cost import Admission, admit
from batchgen.records import Failure

UNNAMED = Failure("max_cost", "A run's price was never named, so --max-cost cannot be kept with more such runs.")


class Budget:
    """Sets money aside before each POST. Amounts in micro-dollars; a limit of None lets everything through."""

    def __init__(self, limit: int | None, counted: int) -> None:
        self._limit = limit
        self._counted = counted
        self._reserved: dict[str, int | None] = {}  # POSTs under way, with what was set aside for each
        self._unnamed: dict[str, int | None] = {}  # runs whose true price is to come, with what is counted for each
        self._never_named = False
        self._changed = anyio.Event()

    async def reserve(self, name: str, price_now: Callable[[], int | None]) -> Failure | None:
        """Waits until the run fits and sets its price aside; gives the reason where it does not fit.

        `price_now` is the estimate, None where there is none: such a run goes alone, and no other one follows before
        its price is known. It is asked for anew at each look, because it may be learned while this waits.
        """
        price = price_now()
        while self._limit is not None:
            price = price_now()
            unknown = sum(held is None for held in (*self._reserved.values(), *self._unnamed.values()))
            set_aside = sum(held or 0 for held in self._reserved.values())
            match admit(self._limit, self._counted, set_aside, price, unknown):
                case Admission.YES if price is None and self._never_named:
                    return UNNAMED
                case Admission.YES:
                    break
                case Admission.NO if not self._reserved:
                    return self._exhausted(price)
                case _:  # something under way may turn out cheaper, be refused, or tell its price
                    await self._changed.wait()
        self._reserved[name] = price
        return None

    def release(self, name: str) -> None:
        """The run's submission has ended, and created nothing."""
        self._reserved.pop(name, None)
        self._wake()

    def charge(self, name: str, cost: int | None, estimate: int | None) -> None:
        """The run's submission has created a run, or may have: its cost counts, or the estimate until it is named."""
        self._reserved.pop(name, None)
        self._counted += (estimate or 0) if cost is None else cost
        if cost is None:
            self._unnamed[name] = estimate
        self._wake()

    def take_up(self, name: str) -> None:
        """A run of an earlier session goes on whose price is not known yet."""
        self._unnamed[name] = None

    def name_price(self, name: str, cost: int) -> None:
        """The service has told what the run costs, later than when it was created."""
        if name in self._unnamed:
            self._counted += cost - (self._unnamed.pop(name) or 0)
            self._wake()

    def give_back(self, name: str, cost: int | None) -> None:
        """The service has refunded the run."""
        if name in self._unnamed:
            self.name_price(name, 0)
        else:
            self._counted -= cost or 0
            self._wake()

    def close(self, name: str) -> None:
        """Nothing more is heard of the run in this session; a price that is still open stays unknown."""
        if self._unnamed.pop(name, 0) is None:
            self._never_named = True
            self._wake()

    def _wake(self) -> None:
        """Lets all who wait look again. Each wait has its own event to wait for, so that nobody's is lost."""
        self._changed.set()
        self._changed = anyio.Event()

    def _exhausted(self, price: int | None) -> Failure:
        spent, limit = self._counted / 1e6, (self._limit or 0) / 1e6
        wanted = "a run of unknown price" if price is None else f"the next run (about ${price / 1e6:.3f})"
        return Failure("max_cost", f"${spent:.3f} of --max-cost ${limit:.3f} is spent; {wanted} does not fit any more.")
