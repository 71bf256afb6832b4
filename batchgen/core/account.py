"""What one API key may still do: submit, poll, both or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from batchgen.core.backoff import doubled_s
from batchgen.core.verdict import Closed, CloseKey
from batchgen.records import Failure

FIRST_PROBE_S = 30.0
LONGEST_PROBE_S = 900.0
FIRST_POLL_PAUSE_S = 2.0
LONGEST_POLL_PAUSE_S = 300.0
REFUSALS_UNPROVEN = 3
REFUSALS_PROVEN = 5


@dataclass(frozen=True, slots=True)
class Account:
    """One key's standing. Times are seconds of a steady clock.

    `proven` tells whether the service has ever accepted the key in this session: a key that never worked is given up
    on after a few refusals, one that did is given time.
    """

    closed: CloseKey | None = None
    closed_at: float = -math.inf
    probe_at: float = math.inf
    probes: int = 0
    polls_from: float = -math.inf
    poll_refusals: int = 0
    refusal: Failure | None = None
    proven: bool = False

    def close(self, verdict: CloseKey, *, begun_at: float, now: float, wait: bool) -> Account:
        """This key submits no more; with `wait` and no credit, a probe goes out at growing intervals."""
        if not (wait and verdict.why is Closed.NO_CREDIT):
            return replace(self, closed=verdict, closed_at=now, probe_at=math.inf)
        if self.closed and begun_at < self.probe_at:
            return self  # was under way when the key was closed: no probe
        pause = doubled_s(FIRST_PROBE_S, LONGEST_PROBE_S, self.probes)
        return replace(self, closed=verdict, closed_at=now, probe_at=now + pause, probes=self.probes + 1)

    def may_submit(self, now: float, posts_in_flight: int) -> bool:
        """Whether one more submission may begin: freely while open, one at a time as a probe while waiting."""
        return self.closed is None or (now >= self.probe_at and posts_in_flight == 0)

    def submitted(self, begun_at: float) -> Account:
        """A submission was accepted. One begun after the closing shows that the key is open again."""
        if self.closed and begun_at < self.closed_at:
            return self if self.proven else replace(self, proven=True)
        if self.closed is None and self.proven:
            return self
        return replace(self, closed=None, probe_at=math.inf, probes=0, proven=True)

    @property
    def hopeless(self) -> bool:
        """This key will submit nothing more in this session."""
        return self.closed is not None and math.isinf(self.probe_at)

    def refuse_poll(self, failure: Failure, now: float) -> Account:
        """A poll was refused: this key's polls pause, each time longer.

        During a pause no poll begins, so a refusal that comes then is of one that was under way already: it is the
        same refusal, and many polls under way at once must not use up the key's patience in one moment.
        """
        if now < self.polls_from:
            return self
        refusals = self.poll_refusals + 1
        pause = doubled_s(FIRST_POLL_PAUSE_S, LONGEST_POLL_PAUSE_S, refusals - 1)
        return replace(self, poll_refusals=refusals, refusal=failure, polls_from=now + pause)

    def polled(self) -> Account:
        """A poll was answered."""
        if self.proven and not self.poll_refusals:
            return self
        return replace(self, poll_refusals=0, refusal=None, polls_from=-math.inf, proven=True)

    @property
    def polls_given_up(self) -> bool:
        """So many refusals in a row that this key's runs are left for the next session."""
        return self.poll_refusals >= (REFUSALS_PROVEN if self.proven else REFUSALS_UNPROVEN)
