"""A life from one seed: a person's acts and the world's, drawn at random, and at the end everything must come right."""

from __future__ import annotations

import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from batchgen.core.plan import OnChanged
from batchgen.records import Status
from batchgen.sandbox.options import SandboxOptions
from tests.sim.patches import installed
from tests.sim.wire import Weather
from tests.sim.world import KEYS, LONGEST_SESSION_S, PRICE, Session, World

FAULTS = (
    *(f"post-{status}" for status in (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 500, 502, 503, 302)),
    *("post-402", "post-spend-limit", "post-usage-exceeded", "post-429", "post-429=3", "post-429-date=20"),
    *("post-reset", "post-hang", "post-hang=7", "post-status=418", "post-status=200", "post-status=204"),
    *(f"created-{status}" for status in (408, 409, 500, 502, 503)),
    *("created-reset", "created-truncated", "created-truncated=3", "created-truncated=24", "created-truncated=25"),
    *("created-no-id", "created-not-json", "created-no-cost", "created-hang", "created-hang=5", "created-status=299"),
    *("run-failed", "run-ends", "run-ends=expired", "run-slow=20", "run-videos=3"),
    *(f"poll-{status}" for status in (401, 402, 403, 404, 408, 410, 425, 500, 502, 503)),
    *("poll-429", "poll-429=2", "poll-not-json", "poll-other-id", "poll-word=queued", "poll-no-cost"),
    *("poll-truncated", "poll-reset", "poll-hang", "poll-hang=5", "poll-status=302", "poll-status=418"),
    *("done-no-urls", "done-one-url", "done-expired-url", "done-foreign-url", "done-error-object"),
)
WHEN = ("@0.05", "@0.3", "@0.3", "@0.7", "@1x", "@2x", "")
FILE_TROUBLE = ("dead", "html", "refused", "interrupted", "full", "unwritable")
SPANS_S = (0.05, 0.5, 2.0, 10.0, 40.0, 120.0, 900.0, 4000.0)


@dataclass(frozen=True)
class Life:
    """What came of a seed."""

    trace: str
    figures: Counter[str]


class Failed(AssertionError):
    """A seed under which the promise does not hold. Carries what led there."""

    def __init__(self, seed: str, problem: BaseException, trace: list[str]) -> None:
        super().__init__(
            f"seed {seed}: {type(problem).__name__}: {problem}\n"
            f"repeat it with: python -m tests.sim {seed}\nthe last that happened:\n" + "\n".join(trace[-25:])
        )


def simulate(seed: str) -> Life:
    """Lives one life. Raises Failed with the seed that repeats it."""
    rng = Random(f"life {seed}")
    with tempfile.TemporaryDirectory(prefix="batchgen-sim-", dir=_quick_folder()) as folder:
        world = born(seed, rng, Path(folder))
        with installed(world):
            try:
                some_faults(world, rng)
                for _ in range(rng.randrange(5, 20)):
                    act(world, rng)
                    world.watch.look()
                settle(world)
            except Exception as problem:
                raise Failed(seed, problem, world.trace) from problem
    return Life("\n".join(world.trace), world.watch.figures)


def _quick_folder() -> str | None:
    """Memory where there is such a folder: nothing here is about a real disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def born(seed: str, rng: Random, folder: Path) -> World:
    """A new world, with rows that nobody has rendered yet."""
    options = SandboxOptions(
        latency_scale=rng.choice((0.02, 0.2, 1.0)),
        balance_micro_usd=rng.choice((None, None, 0, 2 * PRICE, 5 * PRICE)),
        url_ttl=rng.choice((1.0, 5.0, 3600.0)),
        seed=rng.getrandbits(30),
    )
    return World(seed, folder, options, rows=rng.choice((1, 3, 5, 8, 14)))


def act(world: World, rng: Random) -> None:
    """One act, drawn from those that make sense now."""
    acts = WHILE_RUNNING if world.process else WHILE_NOT
    names = list(acts)
    chosen = rng.choices(names, [acts[name][0] for name in names])[0]
    acts[chosen][1](world, rng)


def a_session(rng: Random) -> Session:
    wait = rng.random() < 0.3
    return Session(
        keys=rng.choice((KEYS[:1], KEYS[:1], KEYS[:2], KEYS, KEYS[1:])),
        concurrency=rng.choice((None, None, 1, 2, 16)),
        max_cost=rng.choice((None, None, None, 0, PRICE, 3 * PRICE + 5)),
        wait_for_credit=wait,
        retry_failed=rng.random() < 0.3,
        changed=rng.choice((OnChanged.ASK, OnChanged.KEEP, OnChanged.RENDER)),
        run_timeout_s=rng.choice((5, 60, 600)),
        rate=rng.choice((20, 20, 3)),
        limit=rng.choice((None, None, None, 2)),
    )


def some_faults(world: World, rng: Random) -> None:
    faults = [rng.choice(FAULTS) + rng.choice(WHEN) for _ in range(rng.choice((0, 1, 1, 2, 2, 4)))]
    weather = Weather(slow_s=rng.choice((0.01, 0.1, 0.1, 2.0)), odd_pauses=rng.random() < 0.5)
    match rng.randrange(6):
        case 0:
            weather.lost = rng.choice((0.1, 0.4, 1.0))
        case 1:
            weather.refused = rng.choice((0.1, 0.5, 1.0))
        case 2:
            weather.silent = rng.choice((0.1, 0.5, 1.0))
    files = {rng.choice(FILE_TROUBLE): rng.choice((0.2, 1.0))} if rng.random() < 0.6 else {}
    world.switch(faults, weather, files)


def _pass(world: World, rng: Random) -> None:
    world.pass_time(rng.choice(SPANS_S) * rng.uniform(0.5, 1.0))


MOMENTS = ("begin POST", "accepted", "end POST", "write", "sync", "synced", "end GET")


def _kill_at(world: World, rng: Random) -> None:
    world.kill_at(rng.choice(MOMENTS), rng.choice((1, 1, 2, 5, 9)), power=rng.random() < 0.5)


def _kill(world: World, rng: Random) -> None:
    world.kill(rng.choice((1, 10, 100, 1000)) * rng.randrange(1, 12), power=rng.random() < 0.5)


Act = tuple[int, Callable[[World, Random], None]]
SHARED: dict[str, Act] = {
    "faults": (4, some_faults),
    "top up": (1, lambda world, rng: world.top_up(rng.choice((PRICE, 4 * PRICE, 100 * PRICE)))),
    "refuse": (1, lambda world, rng: world.refuse(rng.choice(((), (), KEYS[:1], KEYS[1:2], KEYS)))),
    "asleep": (1, lambda world, rng: world.suspend(rng.choice((20.0, 700.0, 30_000.0)))),
    "clock": (1, lambda world, rng: world.step_clock(rng.choice((-3600.0, -5.0, 3600.0)))),
}
WHILE_RUNNING: dict[str, Act] = {
    **SHARED,
    "time": (8, _pass),
    "kill": (2, _kill),
    "kill at": (3, _kill_at),
    "signal": (2, lambda world, rng: world.press_ctrl_c(rng.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM)))),
    "disk": (1, lambda world, rng: world.break_disk(rng.choice(("journal", "sync", "all", "")))),
}
WHILE_NOT: dict[str, Act] = {
    **SHARED,
    "start": (14, lambda world, rng: world.start(a_session(rng))),
    "resolve": (3, lambda world, rng: world.resolve(abandon=rng.random() < 0.2)),
    "add": (1, lambda world, _rng: world.add_row()),
    "remove": (1, lambda world, rng: world.remove_row(rng.randrange(99))),
    "change": (2, lambda world, rng: world.change_row(rng.randrange(99))),
    "delete": (1, lambda world, rng: world.delete_file(rng.randrange(99))),
    "mend": (1, lambda world, _rng: world.break_disk("")),
    "time": (1, _pass),
}


def settle(world: World) -> None:
    """The faults are over, credit is there and every doubt is resolved: a few calls of the command must end it all."""
    world.calm()
    code = _finish(world) if world.process else None
    for _ in range(6):
        world.resolve(abandon=False)
        world.watch.look()
        world.start(Session(keys=KEYS, changed=OnChanged.RENDER, run_timeout_s=3600))
        code = _finish(world)
        world.watch.look()
        if code in (0, 1) and not _open_runs(world):  # a long Retry-After may outlast one session's patience
            break
    if (open_runs := _open_runs(world)) or code not in (0, 1):
        raise AssertionError(f"all is well again, and yet: exit code {code}, {open_runs}")


def _open_runs(world: World) -> dict[str, str]:
    statuses = {run.id: world.watch.records()[run.id].status for run in world.runs()}
    return {name: str(status) for name, status in statuses.items() if status not in (Status.DOWNLOADED, Status.FAILED)}


def _finish(world: World) -> int:
    world.pass_time(LONGEST_SESSION_S)
    if world.process:
        raise AssertionError("the program does not come to an end")
    return world.last_code
