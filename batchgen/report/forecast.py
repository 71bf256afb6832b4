"""What a plan will probably cost and how long it will take. Estimates, and shown as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from batchgen.core.cost import Prices
from batchgen.core.latency import Spec, spec_of
from batchgen.core.plan import FOLLOWS, SENDS, Plan
from batchgen.models import registry
from batchgen.records import Record, Run

REQUESTS_A_SUBMISSION = 2  # one POST and one GET at the very least (the service's documentation, rate limits)
REQUESTS_A_RESUMED_RUN = 1


@dataclass(frozen=True, slots=True)
class Forecast:
    """Money in micro-dollars, time in seconds. `latency` is None where nothing is known of any of the models.

    `learned`: runs of a kind whose price the service has named in this state. `estimated`: by the bundled estimate, a
    range where the input leaves it open. `unknown`: runs without any estimate, which no sum includes.
    """

    learned_runs: int = 0
    learned: int = 0
    estimated_runs: int = 0
    least: int = 0
    most: int = 0
    unknown_runs: int = 0
    requests: int = 0
    window_s: float = 0.0
    latency: tuple[float, float] | None = None


def forecast(plan: Plan, prices: Prices, requests_per_second: float) -> Forecast:
    """Adds up what the plan would submit. `requests_per_second`: what the windows of all keys allow together;
    infinity without a limit."""
    sends = [step.run for step in plan.of(*SENDS) if step.run]
    follows = [step.record for step in plan.of(*FOLLOWS) if step.record]
    requests = REQUESTS_A_SUBMISSION * len(sends) + REQUESTS_A_RESUMED_RUN * len(follows)
    everything: list[Run | Record] = [*sends, *follows]
    cost = _Cost(prices)
    # Runs of one kind cost the same, and an estimate is slow to make: once for each kind.
    for runs in _kinds(sends).values():
        cost.add(runs[0], len(runs))
    return Forecast(
        learned_runs=cost.learned_runs,
        learned=cost.learned,
        estimated_runs=cost.estimated_runs,
        least=cost.least,
        most=cost.most,
        unknown_runs=len(sends) - cost.learned_runs - cost.estimated_runs,
        requests=requests,
        window_s=requests / requests_per_second,
        latency=_latency([runs[0] for runs in _kinds(everything).values()]),
    )


Kind = TypeVar("Kind", bound=Run | Record)


def _kinds(runs: Iterable[Kind]) -> dict[Spec, list[Kind]]:
    kinds: dict[Spec, list[Kind]] = {}
    for run in runs:
        kinds.setdefault(spec_of(run.model, run.input), []).append(run)
    return kinds


@dataclass(slots=True)
class _Cost:
    """The sums as they grow."""

    prices: Prices
    learned_runs: int = 0
    learned: int = 0
    estimated_runs: int = 0
    least: int = 0
    most: int = 0

    def add(self, run: Run, number: int) -> None:
        """Counts so many runs of the kind that this one is of."""
        price = self.prices.of(run.model, run.input)
        if price is not None and self.prices.learned(run.model, run.input):
            self.learned_runs += number
            self.learned += price * number
        elif between := _range(run, price):
            self.estimated_runs += number
            self.least += between[0] * number
            self.most += between[1] * number


def _range(run: Run, price: int | None) -> tuple[int, int] | None:
    """The bundled estimate, as a range where the service's defaults, which are not documented, decide."""
    if price is not None:
        return price, price
    model = registry.get(run.model)
    return model.price_range_micro_usd(run.input) if model else None


def _latency(runs: Sequence[Run | Record]) -> tuple[float, float] | None:
    """How long the slowest kind of run usually takes: all have to wait for it once."""
    models = ((registry.get(run.model), run.input) for run in runs)
    usual = [found for model, given in models if model and (found := model.usual_seconds(given))]
    return max(usual, key=lambda pair: pair[1], default=None)
