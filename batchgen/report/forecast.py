"""What a plan will probably cost and how long it will take. Estimates, and shown as such."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batchgen.core.cost import Prices
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
    """Adds up what the plan would submit. `requests_per_second`: what the windows of all keys allow together."""
    sends = [step.run for step in plan.of(*SENDS) if step.run]
    follows = plan.of(*FOLLOWS)
    learned = [price for run in sends if prices.learned(run.model, run.input) and (price := _price(prices, run))]
    ranges = [_range(prices, run) for run in sends if not prices.learned(run.model, run.input)]
    known = [found for found in ranges if found]
    requests = REQUESTS_A_SUBMISSION * len(sends) + REQUESTS_A_RESUMED_RUN * len(follows)
    return Forecast(
        learned_runs=len(sends) - len(ranges),
        learned=sum(learned),
        estimated_runs=len(known),
        least=sum(least for least, _ in known),
        most=sum(most for _, most in known),
        unknown_runs=len(ranges) - len(known),
        requests=requests,
        window_s=requests / requests_per_second if math.isfinite(requests_per_second) else 0.0,
        latency=_latency([*sends, *(step.record for step in follows if step.record)]),
    )


def _price(prices: Prices, run: Run) -> int | None:
    return prices.of(run.model, run.input)


def _range(prices: Prices, run: Run) -> tuple[int, int] | None:
    """The bundled estimate, as a range where the service's defaults, which are not documented, decide."""
    price = _price(prices, run)
    if price is not None:
        return price, price
    model = registry.get(run.model)
    return model.price_range_micro_usd(run.input) if model else None


def _latency(runs: list[Run | Record]) -> tuple[float, float] | None:
    """How long the slowest kind of run usually takes: all have to wait for it once."""
    models = ((registry.get(run.model), run.input) for run in runs)
    usual = [found for model, given in models if model and (found := model.usual_seconds(given))]
    return max(usual, key=lambda pair: pair[1], default=None)
