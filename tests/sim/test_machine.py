"""The same world, with Hypothesis in the place of chance: what it finds, it makes as short as it can."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchgen.core.plan import OnChanged
from batchgen.sandbox.options import SandboxOptions
from tests.sim import script
from tests.sim.patches import installed
from tests.sim.wire import Weather
from tests.sim.world import KEYS, PRICE, Session, World

RATES = st.sampled_from((0.0, 0.0, 0.3, 1.0))
FAULTS = st.builds(str.__add__, st.sampled_from(script.FAULTS), st.sampled_from(script.WHEN))
SESSIONS = st.builds(
    Session,
    keys=st.sampled_from((KEYS[:1], KEYS[:2], KEYS, KEYS[1:])),
    concurrency=st.sampled_from((None, 1, 2, 16)),
    max_cost=st.sampled_from((None, 0, PRICE, 3 * PRICE + 5)),
    wait_for_credit=st.booleans(),
    retry_failed=st.booleans(),
    changed=st.sampled_from(OnChanged),
    run_timeout_s=st.sampled_from((5, 60, 600)),
    rate=st.sampled_from((20, 3)),
    limit=st.sampled_from((None, None, 2)),
)


def while_it_runs() -> Callable[[Any], Any]:
    return precondition(lambda machine: machine.world.process is not None)


def while_it_rests() -> Callable[[Any], Any]:
    return precondition(lambda machine: machine.world.process is None)


class Lives(RuleBasedStateMachine):
    """A person, a machine and a service, and whatever may happen to them."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self._things = contextlib.ExitStack()

    @initialize(
        seed=st.integers(0, 999),
        rows=st.integers(1, 6),
        latency=st.sampled_from((0.02, 0.2, 1.0)),
        balance=st.sampled_from((None, 0, 2 * PRICE)),
    )
    def born(self, seed: int, rows: int, latency: float, balance: int | None) -> None:
        folder = self._things.enter_context(tempfile.TemporaryDirectory(prefix="batchgen-sim-"))
        options = SandboxOptions(latency_scale=latency, balance_micro_usd=balance, seed=seed)
        self.world = World(str(seed), Path(folder), options, rows)
        self._things.enter_context(installed(self.world))

    @while_it_rests()
    @rule(session=SESSIONS)
    def start(self, session: Session) -> None:
        self.world.start(session)

    @rule(seconds=st.sampled_from(script.SPANS_S))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @while_it_runs()
    @rule(number=st.sampled_from((signal.SIGINT, signal.SIGTERM)))
    def a_signal_comes(self, number: signal.Signals) -> None:
        self.world.press_ctrl_c(number)

    @while_it_runs()
    @rule(steps=st.integers(1, 2000), power=st.booleans())
    def it_is_killed(self, steps: int, power: bool) -> None:
        self.world.kill(steps, power=power)

    @while_it_runs()
    @rule(moment=st.sampled_from(script.MOMENTS), count=st.integers(1, 5), power=st.booleans())
    def it_is_killed_at(self, moment: str, count: int, power: bool) -> None:
        self.world.kill_at(moment, count, power=power)

    @rule(
        faults=st.lists(FAULTS, max_size=3),
        weather=st.builds(Weather, RATES, RATES, RATES, st.sampled_from((0.01, 0.1, 2.0)), st.booleans()),
        files=st.dictionaries(st.sampled_from(script.FILE_TROUBLE), RATES, max_size=1),
    )
    def faults_change(self, faults: list[str], weather: Weather, files: Mapping[str, float]) -> None:
        self.world.switch(faults, weather, files)

    @rule(keys=st.sampled_from(((), KEYS[:1], KEYS)))
    def keys_are_refused(self, keys: tuple[Any, ...]) -> None:
        self.world.refuse(keys)

    @rule(mode=st.sampled_from(("", "journal", "sync", "all")))
    def the_disk_fails_or_not(self, mode: str) -> None:
        self.world.break_disk(mode)

    @rule(micro_usd=st.sampled_from((PRICE, 10 * PRICE)))
    def topped_up(self, micro_usd: int) -> None:
        self.world.top_up(micro_usd)

    @rule(seconds=st.sampled_from((20.0, 30_000.0)))
    def the_lid_is_closed(self, seconds: float) -> None:
        self.world.suspend(seconds)

    @rule(seconds=st.sampled_from((-3600.0, 3600.0)))
    def the_clock_is_set(self, seconds: float) -> None:
        self.world.step_clock(seconds)

    @while_it_rests()
    @rule(abandon=st.booleans())
    def doubts_are_resolved(self, abandon: bool) -> None:
        self.world.resolve(abandon=abandon)

    @while_it_rests()
    @rule(index=st.integers(0, 5), edit=st.sampled_from(("add", "remove", "change", "delete")))
    def something_is_edited(self, index: int, edit: str) -> None:
        edits: Mapping[str, Callable[[int], None]] = {
            "add": lambda _: self.world.add_row(),
            "remove": self.world.remove_row,
            "change": self.world.change_row,
            "delete": self.world.delete_file,
        }
        edits[edit](index)

    @invariant()
    def the_promise_holds(self) -> None:
        self.world.watch.look()

    def teardown(self) -> None:
        """Whatever it was: faults off, credit there, doubts resolved, and everything comes right."""
        with self._things:
            if hasattr(self, "world"):
                script.settle(self.world)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=25, stateful_step_count=12, suppress_health_check=list(HealthCheck))
