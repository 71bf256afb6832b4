"""The money: what was spent, what may have been, what a run will probably cost, and whether there is room for it.

All amounts are micro-dollars (40000 is $0.04). None is unknown, and is never taken or shown as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from batchgen.core.latency import Spec, spec_of
from batchgen.records import Attempt, Record, Status

Estimate = Callable[[str, Mapping[str, Any]], int | None]


class Prices:
    """Prices by kind of run: what the service really took in this state, else the bundled estimate, else unknown."""

    def __init__(self, records: Iterable[Record], bundled: Estimate) -> None:
        self._bundled = bundled
        self._learned: dict[Spec, int] = {}
        for record in records:
            # Earlier attempts may have been made with another input, whose price says nothing of this one.
            if attempt := record.current:
                self.learn(record.model, record.input, attempt.cost_micro_usd, attempt.outcome)

    def learn(self, model: str, given: Mapping[str, Any], cost: int | None, outcome: str = "created") -> None:
        """Keeps a price that the service has named."""
        if cost is not None and outcome not in ("rejected", "not_created"):
            self._learned[spec_of(model, given)] = cost

    def of(self, model: str, given: Mapping[str, Any]) -> int | None:
        """What one run of this kind costs, as well as that can be known."""
        learned = self._learned.get(spec_of(model, given))
        return self._bundled(model, given) if learned is None else learned

    def learned(self, model: str, given: Mapping[str, Any]) -> bool:
        """Whether the price comes from the service itself."""
        return spec_of(model, given) in self._learned


@dataclass(frozen=True, slots=True)
class Money:
    """The ledger's sums. `spent` is what the service said it took and did not give back; `estimated`, the estimate for
    created runs whose cost nobody named; `doubtful`, the estimate for runs in doubt or abandoned, counted as spent;
    `unpriced`, how many runs have neither a named cost (where they were created) nor an estimate (where in doubt)."""

    spent: int = 0
    refunded: int = 0
    doubtful: int = 0
    doubtful_runs: int = 0
    unpriced: int = 0
    estimated: int = 0

    @property
    def counted(self) -> int:
        """What counts against a limit: a cost that is not known counts as what it probably is, never as nothing."""
        return self.spent + self.estimated + self.doubtful


def money_of(records: Iterable[Record], prices: Prices) -> Money:
    """Adds up every attempt of every record."""
    spent = refunded = doubtful = doubtful_runs = unpriced = estimated = 0
    for record in records:
        for attempt in record.attempts:
            cost = attempt.cost_micro_usd
            if attempt.refunded:
                refunded += cost or 0
                continue
            likely = prices.of(record.model, record.input) if cost is None else cost
            if _doubtful(attempt):
                doubtful, doubtful_runs = doubtful + (likely or 0), doubtful_runs + 1
                unpriced += likely is None
            elif cost is None:
                estimated += likely or 0
                unpriced += 1
            else:
                spent += cost
    return Money(spent, refunded, doubtful, doubtful_runs, unpriced, estimated)


def _doubtful(attempt: Attempt) -> bool:
    return attempt.outcome in ("open", "in_doubt", "abandoned")


class Admission(Enum):
    """Whether a run may be submitted under a spending limit."""

    YES = "yes"
    WAIT = "wait"  # its price is unknown, and a run that will tell it is under way
    NO = "no"


def admit(limit: int | None, counted: int, reserved: int, price: int | None, unknown_under_way: int) -> Admission:
    """Whether one more run fits: `counted` is spent, `reserved` is set aside for submissions under way.

    A run of unknown price goes alone, so that at most one can overstep the limit before its price is known.
    """
    if limit is None:
        return Admission.YES
    if counted + reserved + (price or 0) > limit or (price is None and counted + reserved >= limit):
        return Admission.NO
    if price is None and unknown_under_way:
        return Admission.WAIT
    return Admission.YES


def paid_for(record: Record) -> bool:
    """Whether money was, or may have been, taken for what this record asks for now."""
    return record.status in (Status.SUBMITTING, Status.IN_DOUBT, Status.SUBMITTED, Status.SUCCEEDED, Status.DOWNLOADED)
