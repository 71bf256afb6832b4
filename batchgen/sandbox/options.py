"""What can be set on the rehearsal service. Needs none of the extra's packages."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batchgen.errors import UsageProblem
from batchgen.sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How the rehearsal service behaves; raises `errors.UsageProblem` for values that make no sense.

    latency_scale: factor on every run's duration; 0 ends each at once.
    rate_limit: requests and seconds of the sliding window of each key (Runbase documents 20 in 10 s); `None` for none.
    balance_micro_usd: what each key starts with, in micro-dollars; `None` is without limit.
    faults: switched on for the whole service.
    url_ttl: seconds for which an output URL lives.
    seed: decides latencies and the draws of faults with a rate.
    idle_timeout: seconds after which an idle connection is closed.
    """

    latency_scale: float = 1.0
    rate_limit: tuple[int, float] | None = (20, 10.0)
    balance_micro_usd: int | None = None
    faults: tuple[Fault, ...] = ()
    url_ttl: float = 3600.0
    seed: int = 0
    idle_timeout: float = 5.0

    def __post_init__(self) -> None:
        for name in ("latency_scale", "url_ttl", "idle_timeout"):
            value: float = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise UsageProblem(f"{name} of the rehearsal service must be 0 or more, not {value}.")
        if self.rate_limit is not None and (self.rate_limit[0] < 1 or not 0 < self.rate_limit[1] < math.inf):
            raise UsageProblem(f"The rate limit needs at least one request in some seconds, not {self.rate_limit}.")
        if self.balance_micro_usd is not None and self.balance_micro_usd < 0:
            raise UsageProblem(f"A prepaid balance cannot be below zero, as {self.balance_micro_usd} is.")
