"""The real process killed with SIGKILL again and again, and resumed with the same command until all is done.

The oracle is the service's own books: what it accepted, and every POST that it received.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.figures import Figures, Order
from tests.soak.kill_moments import Before, Moment, draw, wait_for
from tests.soak.kill_oracle import Oracle
from tests.soak.kill_scene import Flavour, Scene, made

FULL = 1000
KILLS_A_ROUND = 20
RUNS_A_KILL = 12
LANES = 2
LONGEST_S = 1800.0  # a hang, and no busy machine on which films are slow to render
MOST_SESSIONS = 100
FLAVOURS = (Flavour.DECIDED, Flavour.EMBEDDED, Flavour.FOLDING, Flavour.PLAIN)


@dataclass
class Tally:
    """What was done and found, in all rounds together."""

    kills: int = 0
    rounds: int = 0
    sessions: int = 0
    runs: int = 0
    injected: int = 0
    in_flight: int = 0
    in_doubt: int = 0
    decided: int = 0
    moments: Counter[Moment] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Takes in what one round has done."""
        for name in ("kills", "rounds", "sessions", "runs", "injected", "in_flight", "in_doubt", "decided"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.moments += other.moments


class Round:
    """One batch from its first session to its end, killed on the way. The same seed makes the same choices."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self._oracle = Oracle(scene)
        self.tally = Tally(rounds=1, runs=len(scene.inputs), injected=len(scene.injected))

    def play(self, kills: int) -> Tally:
        """Kills until nothing is left to do or so many kills were made, and then lets it come to its end."""
        while self.tally.kills < kills and self._killed(self._scene.run, draw(self._chance)):
            self._oracle.look()
        code = self._ends()
        while self._scene.flavour is Flavour.DECIDED and code and self.tally.sessions < MOST_SESSIONS:
            self._decide()
            code = self._ends()
        doubted = self._oracle.in_doubt
        assert code == (4 if doubted else 0), f"ended with {code}, and {len(doubted)} runs are in doubt"
        assert not (doubted and self._scene.flavour is Flavour.DECIDED), f"decided, and in doubt again: {doubted}"
        self._again(code)
        self.tally.in_doubt += len(doubted)
        self.tally.in_flight += len(self._oracle.ever_in_flight)
        return self.tally

    def _killed(self, command: tuple[str, ...], moment: Moment) -> bool:
        """Starts the command and kills it at the moment; False where it came to its end before."""
        before = Before.of(self._scene)
        process = self._scene.start(*command)
        try:
            wait_for(moment, self._scene, before, process, self._chance)
            if self._chance.random() < 0.2:
                self._oracle.records()  # while it works, too, the state can be read
        finally:
            process.kill()
            err = process.communicate()[1]
        self.tally.sessions += 1
        assert "Traceback" not in err, err
        killed = process.returncode == -9
        assert killed or process.returncode in (0, 4), f"ended with {process.returncode}: {err}"
        self.tally.kills += killed
        self.tally.moments[moment] += killed
        return killed

    def _ends(self) -> int:
        """Lets one session come to its end; its exit code."""
        code = self._runs(*self._scene.run)
        self.tally.sessions += 1
        assert code in (0, 4), f"ended with {code}"
        self._oracle.end()
        return code

    def _runs(self, *command: str) -> int:
        process = self._scene.start(*command)
        try:
            _, err = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{command} did not end: {process.communicate()}") from None
        assert "Traceback" not in err, err
        return process.returncode

    def _again(self, code: int) -> None:
        """The same command once more has nothing to do, and sends nothing."""
        before = self._scene.books()
        assert self._ends() == code
        assert self._scene.books() == before, "a finished batch has sent something"

    def _decide(self) -> None:
        """Decides all that is in doubt as its books say; now and then that command is killed as well."""
        books = self._scene.books()
        for name in sorted(self._oracle.in_doubt & books.runs.keys()):
            self._resolve({name}, "--adopt", books.runs[name][0][0])
        if rest := set(self._oracle.in_doubt):
            self._resolve(rest, "--not-created")

    def _resolve(self, names: set[str], *decision: str) -> None:
        command = ("resolve", "many.csv", *sorted(names), *decision, *self._scene.sandbox)
        if self._chance.random() < 0.15:
            self._killed(command, Moment.START)
            self._oracle.decide(names)
        if names & self._oracle.in_doubt:
            code = self._runs(*command)
            assert code == 0, f"{command} ended with {code}"
            self._oracle.decide(names)
        self.tally.decided += len(names)


class _Kills:
    """The kills that are still to be made, shared by the lanes."""

    def __init__(self, wanted: int) -> None:
        self._left, self._round, self._lock = wanted, 0, threading.Lock()
        self.tally = Tally()

    def claim(self, most: int) -> tuple[int, int] | None:
        """A round's number and how many kills it shall make; None where no kill is left."""
        with self._lock:
            if self._left <= 0:
                return None
            kills = min(most, self._left)
            self._left -= kills
            self._round += 1
            return self._round - 1, kills

    def done(self, claimed: int, tally: Tally) -> None:
        """What a round claimed and did not need is for others."""
        with self._lock:
            self._left += claimed - tally.kills
            self.tally.add(tally)

    def stop(self) -> None:
        """A loss was found: no further round begins."""
        with self._lock:
            self._left = 0


def play_round(folder: Path, seed: int, number: int, kills: int) -> Tally:
    """One round. Raises AssertionError with what repeats it: the moments are chance, the choices are not."""
    chance = random.Random(f"{seed}:{number}:{kills}")
    place = folder / f"round-{number}"
    flavour = FLAVOURS[number % len(FLAVOURS)]
    try:
        with made(place, flavour, RUNS_A_KILL * kills, chance) as scene:
            return Round(scene, chance).play(kills)
    except Exception as problem:
        words = f"seed {seed}, round {number} ({flavour}, {kills} kills): {type(problem).__name__}: {problem}"
        raise AssertionError(words) from problem
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(place.with_name(f"{place.name}.service"), ignore_errors=True)


def soak(order: Order, most: int = KILLS_A_ROUND) -> Figures:
    """A thousand kills, two rounds at once; `most` kills in each round."""
    kills = _Kills(order.count(FULL))

    def lane() -> None:
        while claimed := kills.claim(most):
            number, wanted = claimed
            try:
                kills.done(wanted, play_round(order.folder, order.seed, number, wanted))
            except BaseException:
                kills.stop()
                raise

    with ThreadPoolExecutor(LANES) as pool:
        for ended in [pool.submit(lane) for _ in range(LANES)]:
            ended.result()
    return figures(kills.tally)


def figures(t: Tally) -> Figures:
    """The tally in words."""
    aims = ", ".join(f"{count:,} {moment}" for moment, count in sorted(t.moments.items(), key=lambda item: -item[1]))
    return Figures(
        f"{t.kills:,} kills ({aims}) in {t.rounds:,} batches of {t.runs:,} runs, {t.sessions:,} sessions",
        f"0 lost, 0 paid twice, {t.in_doubt:,} in doubt at the end and {t.decided:,} decided before "
        f"({t.injected:,} injected, {t.in_flight:,} in flight at a kill)",
    )
