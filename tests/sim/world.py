"""The simulated world: one person, one machine, one service, and a clock that jumps. All from one seed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from batchgen.app import decide, render
from batchgen.app.target import Target, selection_of
from batchgen.core.plan import OnChanged
from batchgen.errors import BatchgenError
from batchgen.manifest import Manifest
from batchgen.records import DEFAULT_MODEL, Place, Run, Status, sha256_of
from batchgen.sandbox.faults import Fault
from batchgen.sandbox.options import SandboxOptions
from batchgen.settings import Key
from batchgen.store.paths import StatePaths, state_paths
from tests.sim.disk import Disk
from tests.sim.loop import SimLoop
from tests.sim.patches import Signals
from tests.sim.service import Service
from tests.sim.watch import Watch
from tests.sim.wire import BASE_URL, Weather, Wire

EPOCH = 1_800_000_000.0
KEYS = tuple(Key(f"sk-{name}") for name in ("one", "two", "three"))
PRICE = 48_211  # what each of these runs costs, in micro-dollars
LONGEST_SESSION_S = 6 * 3600.0


@dataclass(frozen=True)
class Session:
    """One call of the command: what a person gives with it."""

    keys: tuple[Key, ...] = KEYS[:1]
    concurrency: int | None = None
    max_cost: int | None = None
    wait_for_credit: bool = False
    retry_failed: bool = False
    changed: OnChanged = OnChanged.KEEP
    run_timeout_s: int = 600
    trust_5xx: bool = False
    rate: int = 20
    limit: int | None = None
    cut_short: bool = False  # its polls may be given up before they arrive: then the window cannot know

    def options(self) -> dict[str, Any]:
        """As the command line hands them on."""
        return {
            "base_url": BASE_URL,
            "concurrency": self.concurrency,
            "max_cost": None if self.max_cost is None else f"{self.max_cost / 1e6:.6f}",
            "on_no_credit": "wait" if self.wait_for_credit else "stop",
            "retry_failed": self.retry_failed,
            "changed": str(self.changed),
            "run_timeout": str(self.run_timeout_s),
            "assume_5xx_not_created": self.trust_5xx,
            "rate_limit": f"{self.rate}/10",
            "limit": self.limit,
        }


class Process:
    """The program as it runs, from its start to its end."""

    def __init__(self, world: World, session: Session, number: int, command: Coroutine[Any, Any, int]) -> None:
        self.session = session
        self.rng = Random(f"{world.seed}:{number}")
        self.loop = SimLoop(world.now)
        self.signals = Signals()
        self.signalled = False
        self.dead = False
        self.task = self.loop.create_task(command)
        self.task.add_done_callback(lambda _: self.loop.stop())

    def unwind(self) -> None:
        """Ends what a dead process leaves, in its own dead folder: nobody sees it."""
        for _ in range(5):
            if not asyncio.all_tasks(self.loop):
                break
            self.task.cancel()
            self.loop.run_for(100.0)
        self.loop.close()


class World:
    """Everything outside of the program. Acts change it; `watch.look` holds it against the promise after each."""

    def __init__(self, seed: str, root: Path, options: SandboxOptions, rows: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now, self.suspended, self.clock_error = 1000.0, 0.0, 0.0
        self.temporary = root / "temporary"
        self.temporary.mkdir(parents=True)
        self.disk = Disk(root, self.moment)
        self.versions = {f"r{number}": 0 for number in range(rows)}
        self.deleted: set[str] = set()
        self.trace: list[str] = []
        self.all_keys = KEYS
        self.process: Process | None = None
        self.wire = Wire(self)
        self.watch = Watch(self)
        self.service = Service(self, options)
        self.last_code = -1
        self._fatal: tuple[str, int, bool] | None = None
        self._processes = 0
        self._ids = 0
        self._rows_made = rows

    # --------------------------------------------------------------------------------------------------- what is

    @property
    def process_at_work(self) -> Process:
        if self.process is None:
            raise AssertionError("no process is at work")
        return self.process

    @property
    def manifest_path(self) -> Path:
        return self.disk.folder / "lamps.yaml"

    @property
    def paths(self) -> StatePaths:
        return state_paths(self.manifest_path, None, sandbox=False)

    def steady(self) -> float:
        return self.process.loop.time() if self.process else self.now

    def service_time(self) -> float:
        """The world's time. A machine that sleeps does not count it; the service does."""
        return EPOCH + self.steady() + self.suspended

    def time_of_day(self) -> float:
        return self.service_time() + self.clock_error

    def next_id(self, _bytes: int) -> str:
        self._ids += 1
        return f"{self._ids:04d}{Random(f'{self.seed}:{self._ids}').getrandbits(32):08x}"

    def note(self, words: str) -> None:
        if self.process is None or not self.process.dead:
            self.trace.append(f"{self.steady():12.4f} {words.replace(str(self.disk.folder), '')}")
            self.moment(words)

    def runs(self) -> tuple[Run, ...]:
        """The manifest."""
        return tuple(
            Run(row, DEFAULT_MODEL, given, sha256_of(given), Place("lamps.yaml", number))
            for number, (row, given) in enumerate(
                ((row, _input(row, version)) for row, version in self.versions.items()), start=1
            )
        )

    def row_of(self, body: bytes) -> str:
        return self.row_of_input(json.loads(body)["input"])

    def row_of_input(self, given: Mapping[str, Any]) -> str:
        return str(given["prompt"]).split()[0]

    async def _command(self, session: Session) -> int:
        """`batchgen run`, from its composition on; its exit code."""
        os.environ["RUNBASE_API_KEYS"] = ",".join(key.secret for key in session.keys)
        manifest = Manifest(self.manifest_path, "", self.runs(), {}, None)
        options = session.options()
        target = Target(self.manifest_path, options)
        try:
            reply = await render._run(target, manifest, selection_of(options, manifest), render.Voice(quiet=True))
        except BatchgenError as problem:
            self.note(f"refused: {problem}")
            return problem.exit_code
        return reply.exit_code

    # ------------------------------------------------------------------------------------------------------ acts

    def start(self, session: Session) -> None:
        """Runs the command, unless it runs already."""
        if self.process:
            return
        self._processes += 1
        self.note(f"start {session}")
        self.watch.session_begins(session)
        self.process = Process(self, session, self._processes, self._command(session))

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, for the process too where one is at work."""
        self.note(f"{seconds:g} s pass")
        process = self.process
        if process is None:
            self.now += seconds
            return
        process.loop.run_for(seconds)
        self._after_running(process)

    def _after_running(self, process: Process) -> None:
        if self.watch.problem:
            raise self.watch.problem
        if process.dead:
            process.unwind()
            self.process = None
            self.watch.session_ends()
            self.note("killed")
        elif process.task.done():
            self.now = process.loop.time()
            self._ended(process, process.task.result())

    def _ended(self, process: Process, code: int) -> None:
        self.wire.process_ends()
        self.note(f"exit code {code} after {process.loop.steps} steps")
        self.last_code = code
        left = asyncio.all_tasks(process.loop)
        self.watch.exited(code, signalled=process.signalled)
        process.unwind()
        self.process = None
        self.watch.session_ends()
        if left:
            raise AssertionError(f"tasks are left behind: {left}")

    def press_ctrl_c(self, number: signal.Signals = signal.SIGINT) -> None:
        """Sends a signal to the process."""
        if self.process:
            self.note(f"{number.name}")
            self.process.signalled = True
            self.watch.told_to_stop(number.name)
            self.process.loop.call_soon(self.process.signals.sent.put_nowait, number)

    def kill(self, after_steps: int, *, power: bool = False) -> None:
        """Ends the process between two of its steps, so many from now; `power` takes what was not synced as well."""
        process = self.process
        if process is None:
            return
        process.loop.after_steps(max(1, after_steps), lambda: self._die(process, power=power))
        process.loop.run_for(3600.0)
        self._after_running(process)

    def kill_at(self, moment: str, count: int, *, power: bool = False) -> None:
        """Ends the process the so many-th time that this happens, if it does within ten minutes."""
        process = self.process
        if process is None:
            return
        self._fatal = moment, count, power
        process.loop.run_for(600.0)
        self._fatal = None
        self._after_running(process)

    def moment(self, words: str) -> None:
        """Something happens: the last thing, perhaps."""
        if self._fatal is None or self.process is None or not words.startswith(self._fatal[0]):
            return
        word, count, power = self._fatal
        self._fatal = (word, count - 1, power) if count > 1 else None
        if self._fatal is None:
            self._die(self.process, power=power)

    def _die(self, process: Process, *, power: bool) -> None:
        self.note("power cut" if power else "kill")
        self.watch.figures["power cuts" if power else "kills"] += 1
        self.now = process.loop.time()
        process.dead = True
        self.disk.stop(self.rng if power else None)
        self.wire.process_ends()
        process.loop.stop()

    def suspend(self, seconds: float) -> None:
        """The lid is closed for so long: the steady clock stands still, the world's goes on."""
        self.note(f"asleep for {seconds:g} s")
        self.suspended += seconds

    def step_clock(self, seconds: float) -> None:
        """Somebody sets this machine's clock."""
        self.note(f"the clock is set by {seconds:g} s")
        self.clock_error += seconds

    def switch(self, faults: Sequence[str], weather: Weather, files: Mapping[str, float]) -> None:
        """From now on the service and the network behave like this."""
        self.note(f"faults {list(faults)} {weather} {dict(files)}")
        self.service.books.switch(map(Fault.parse, faults))
        self.wire.weather = weather
        self.service.file_trouble = dict(files)

    def refuse(self, keys: Sequence[Key]) -> None:
        """The service takes these keys no longer."""
        self.note(f"refused are {[key.secret for key in keys]}")
        self.service.refused_keys = set(keys)

    def calm(self) -> None:
        """All that was wrong with the service, the network and the disk is over."""
        self.switch([], Weather(), {})
        self.refuse(())
        self.break_disk("")
        self.top_up(10**12)
        self.service.books.let_urls_live()

    def top_up(self, micro_usd: int) -> None:
        self.note(f"topped up by {micro_usd}")
        self.service.top_up(micro_usd)

    def break_disk(self, mode: str) -> None:
        self.note(f"the disk fails: {mode or 'no more'}")
        self.disk.failing = mode

    def add_row(self) -> None:
        self.versions[f"r{self._rows_made}"] = 0
        self._rows_made += 1

    def remove_row(self, index: int) -> None:
        if len(self.versions) > 1:
            del self.versions[sorted(self.versions)[index % len(self.versions)]]

    def change_row(self, index: int) -> None:
        self.versions[sorted(self.versions)[index % len(self.versions)]] += 1

    def delete_file(self, index: int) -> None:
        """Somebody takes a video away."""
        files = sorted((self.disk.folder / "videos").glob("*.mp4"))
        if files and self.process is None:
            file = files[index % len(files)]
            self.note(f"{file.name} is deleted")
            self.deleted.add(file.name)
            file.unlink()

    def resolve(self, *, abandon: bool) -> None:
        """A person looks every doubtful run up in the account, and says what is true; or gives it up."""
        if self.process or self.disk.failing:
            return
        for row, record in self.watch.records().items():
            if record.status in (Status.IN_DOUBT, Status.SUBMITTING):
                self._resolve(row, self.watch.unknown_ids(row), abandon=abandon)

    def _resolve(self, row: str, unknown: Sequence[str], *, abandon: bool) -> None:
        if abandon:
            decision = decide.Decision(abandon=True)
            self.watch.hidden |= set(unknown)
        elif unknown:
            decision = decide.Decision(adopt=unknown[0])
        else:
            decision = decide.Decision(not_created=True)
            self.watch.claims.pop(row, None)
        self.note(f"{row} is resolved: {decision}")
        self._processes += 1
        self.process = process = Process(self, Session(), self._processes, self._decide(row, decision))
        process.loop.run_for(60.0)
        process.task.result()
        self.now = process.loop.time()
        process.unwind()
        self.process = None

    async def _decide(self, row: str, decision: decide.Decision) -> int:
        """`batchgen resolve`."""
        reply = await decide._decide(Target(self.manifest_path, {}), [row], decide._event_maker([row], decision))
        return reply.exit_code


def _input(row: str, version: int) -> dict[str, Any]:
    return {
        "prompt": f"{row} lamp, version {version}",
        "resolution": "480p",
        "duration": "4",
        "aspect_ratio": "16:9",
        "generate_audio": False,
    }
