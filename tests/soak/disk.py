"""Ten thousand lives of a state, and hundreds of whole batches, on disks that fail and lose power."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread
import pytest

from batchgen import events as ev
from batchgen.core.lifecycle import TRANSITIONS, apply
from batchgen.errors import StateUnwritable
from batchgen.records import Record, Status
from batchgen.store.document import Header
from batchgen.store.emergency import INTERRUPTED
from batchgen.store.ledger import open_ledger, read_state
from batchgen.store.paths import StatePaths
from tests.core.samples import AT, one_of_each
from tests.soak.disk_batches import batches
from tests.soak.figures import Figures, Order
from tests.store.disk import ERRORS, Call, Cut, Disk, Fail, Fault, Loss, Mixed, Names, Stop, Zeros, error

FULL = 10_000
HEADER = Header("https://runbase.net/api/v1", "batch.yaml", "ab" * 32)
Records = dict[str, Record]
OPEN = (Status.SUBMITTING,)


def soak(order: Order) -> Figures:
    """Every life by its own seed; the first that loses something raises, with the seed that repeats it."""
    seen: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _fd: None)  # what was synced is modelled; the real disk is not waited for
        for number in range(order.count(FULL)):
            seed = f"{order.seed}-{number}"
            try:
                seen += live(seed, order.folder / seed)
            except BaseException as problem:
                raise AssertionError(f"life {seed}: {type(problem).__name__}: {problem}") from problem
    seen += batches(order)
    return Figures(
        f"{order.count(FULL):,} lives of a state in {seen['sessions']:,} sessions ({seen['power']:,} power cuts, "
        f"{seen['kills']:,} kills, {seen['errors']:,} calls that failed, {seen['short']:,} short writes), and "
        f"{seen['batches']:,} batches ({seen['cuts']:,} power cuts, {seen['spoiled']:,} failing disks, "
        f"{seen['paid']:,} runs paid for)",
        f"0 of {seen['events']:,} acknowledged events lost, 0 runs lost, 0 paid twice, 0 POSTs after an id that could "
        f"not be saved ({seen['saved']:,} such ids, each told and {seen['kept']:,} kept in an emergency file), "
        f"{seen['doubts']:,} in doubt",
    )


def live(seed: str, folder: Path) -> Counter[str]:
    """A few sessions on one state, each on a disk with faults of its own, each followed by a loss or none."""
    rng, seen = Random(seed), Counter[str]()
    folder.mkdir()
    home, records = folder / "0", Records()
    home.mkdir()
    for number in range(1, rng.randint(2, 4)):
        disk = Disk(home, fault_plan(rng, seen))
        with disk.under() as patch:
            patch.setattr("batchgen.store.journal.KEPT_FREE_BYTES", rng.choice((128, 512, 4096)))
            true = anyio.run(session, StatePaths(home / "batch.state.json"), records, rng)
        assert not disk.left_open, "files were left open"
        loss = rng.choice((Loss(), Cut(), Names(), Zeros(), Mixed(rng), Mixed(rng)))
        seen["sessions"] += 1
        seen["events"] += true.acknowledged
        seen["kills" if type(loss) is Loss else "power"] += 1
        home = disk.after(loss, folder / str(number))
        document = read_state(StatePaths(home / "batch.state.json"))
        records = document.records if document else {}
        assert records in true.since_the_last_promise, f"after session {number}: {records}"
    return seen


def fault_plan(rng: Random, seen: Counter[str]) -> Fail:
    """None, one or two calls that fail, once or from then on, short writes, and perhaps the end."""
    likely = rng.choice((20, 60, 150))  # about how far into a session
    broken = {rng.randrange(likely): error(rng.choice(ERRORS)) for _ in range(rng.choice((0, 0, 1, 1, 2)))}
    since = rng.randrange(likely) if rng.random() < 0.15 else sys.maxsize
    lasting = error(rng.choice(ERRORS))
    only = rng.choice((None, None, "write", "fsync", "open"))  # a full disk does not keep a file from being closed
    end = rng.randrange(likely) if rng.random() < 0.6 else sys.maxsize
    short = rng.random() < 0.1

    def fail(call: Call) -> Fault:
        if call.number >= end:
            return Stop()
        problem = broken.get(call.number) or (lasting if call.number >= since and only in (None, call.name) else None)
        if problem:
            seen["errors"] += 1
            return problem
        if short and call.name == "write":
            seen["short"] += 1
            return rng.randint(1, 300)
        return None

    return fail


class Truth:
    """Every state that was true, in their order, and how much of it the ledger has promised to keep."""

    def __init__(self, records: Records) -> None:
        self.states = [dict(records)]
        self.promised = 0
        self.acknowledged = 0

    def happens(self, events: Sequence[ev.Event]) -> None:
        for event in events:
            state = dict(self.states[-1])
            state[event.id] = apply(state.get(event.id), event)
            self.states.append(state)

    def is_acknowledged(self, count: int) -> None:
        self.promised = len(self.states) - 1
        self.acknowledged += count

    @property
    def since_the_last_promise(self) -> list[Records]:
        return self.states[self.promised :]


async def session(paths: StatePaths, before: Records, rng: Random) -> Truth:
    """Opens the state, lets any events happen that may, with folds between them; until the end, or a refusal."""
    truth = Truth(before)
    truth.happens([ev.Doubted(id=r.id, at=AT, failure=INTERRUPTED) for r in before.values() if r.status in OPEN])
    with suppress(Stop, StateUnwritable):
        async with open_ledger(paths, HEADER, lambda: AT) as ledger:
            assert ledger.records == truth.states[-1], "a session began with something else"
            truth.is_acknowledged(0)
            for _ in range(rng.randint(1, 14)):
                events = some_events(truth.states[-1], rng)
                truth.happens(events)
                await ledger.record_all(events)
                truth.is_acknowledged(len(events))
                if rng.random() < 0.15:
                    await anyio.to_thread.run_sync(ledger.fold)
    return truth


def some_events(records: Records, rng: Random) -> list[ev.Event]:
    """One to four events that can happen one after the other."""
    now, out = dict(records), list[ev.Event]()
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        name = rng.choice(("a", "b", "c", "d"))
        status = now[name].status if name in now else None
        kinds = [kind for from_, kind in TRANSITIONS if from_ is status]
        event = rng.choice([event for event in one_of_each(name) if type(event) in kinds])
        now[name] = apply(now.get(name), event)
        out.append(event)
    return out
