"""One key's side of the dispatcher: its window, its standing, and the polls that wait for it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

from batchgen.core.account import Account
from batchgen.core.choose import spare_interval_s, worth_a_spare_slot
from batchgen.core.polling import Due
from batchgen.core.window import Rate, Window
from batchgen.settings import Key


@dataclass(slots=True)
class Waiter:
    """Someone who waits for a slot; `lane` is filled in when it is granted, and stays None when it never will be.

    A poll says when it is due; a submission does not, and goes as soon as it may.
    """

    due: Due | None = None
    granted: anyio.Event = field(default_factory=anyio.Event)
    lane: Lane | None = None
    gone: bool = False


@dataclass(slots=True)
class Lane:
    """One key: its window, its standing, its POSTs in the air and the polls that wait for it."""

    key: Key
    window: Window
    account: Account = field(default_factory=Account)
    posts: int = 0
    spare_from: float = -math.inf
    _polls: list[tuple[float, int, Waiter]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    @property
    def waiting(self) -> int:
        """How many polls wait, some of them perhaps given up by now."""
        return len(self._polls)

    def add(self, waiter: Waiter, due: Due) -> None:
        """A poll begins to wait."""
        heapq.heappush(self._polls, (due.urgent_at(), next(self._order), waiter))

    def urgent_at(self) -> float:
        """When the most urgent waiting poll goes before submissions; infinity where none waits."""
        while self._polls and self._polls[0][2].gone:
            heapq.heappop(self._polls)
        return self._polls[0][0] if self._polls else math.inf

    def take_urgent(self) -> Waiter:
        """The most urgent poll, which waits no longer."""
        return heapq.heappop(self._polls)[2]

    def take_spare(self, now: float) -> Waiter | None:
        """The poll that most likely finds its run done, if that is worth a slot; it waits no longer.

        To be asked again at `spare_from`.
        """
        limit = self.window.limit or 1
        self.spare_from = now + spare_interval_s(Rate(limit, self.window.rate.seconds))
        best, most = None, 0.0
        for entry in self._polls:
            due = entry[2].due
            if entry[2].gone or due is None or due.hope is None:
                continue
            chance, known = due.hope.chance(now), due.hope.kind.known
            if chance > most and chance >= worth_a_spare_slot(len(self._polls), limit, known=known):
                best, most = entry, chance
        if best is None:
            return None
        self._polls.remove(best)
        heapq.heapify(self._polls)
        return best[2]

    def reconsider(self) -> None:
        """More is known of the latencies: works out anew which poll is urgent when."""
        waiting = [(waiter.due.urgent_at(), number, waiter) for _, number, waiter in self._polls if waiter.due]
        self._polls = [entry for entry in waiting if not entry[2].gone]
        heapq.heapify(self._polls)

    def dismiss(self) -> None:
        """Tells every poll that waits that its turn will not come."""
        for _, _, waiter in self._polls:
            waiter.granted.set()
        self._polls.clear()
