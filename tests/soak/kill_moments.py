"""The moments at which a process is killed: at any time, or as soon as something is seen on the disk.

Nothing here decides whether a test passes: a moment that does not come is over after a while, and the kill comes then.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.soak.kill_scene import Scene

LONGEST_S = 2.5
STARTUP_S = 0.6


class Moment(StrEnum):
    """What a kill is aimed at."""

    ANY = "at any time"
    START = "while it starts"
    JOURNAL = "at the first write to the journal"
    POST = "as a run is created"
    DOWNLOAD = "during a download"
    PUBLISH = "as a video gets its name"
    FOLD = "while the state is folded"
    LATE = "at the end"


WEIGHTS = {
    Moment.ANY: 4,
    Moment.START: 2,
    Moment.JOURNAL: 2,
    Moment.POST: 4,
    Moment.DOWNLOAD: 2,
    Moment.PUBLISH: 2,
    Moment.FOLD: 3,
    Moment.LATE: 1,
}


def draw(chance: random.Random) -> Moment:
    """A moment, each as often as its weight says."""
    return chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


@dataclass(frozen=True)
class Before:
    """What was on the disk before the process started."""

    journal: tuple[int, int]
    accepted: int
    videos: int

    @classmethod
    def of(cls, scene: Scene) -> Before:
        """As it is now."""
        return cls(_stamp(scene.paths.journal), _size(_ledger(scene)), _count(scene.videos, "*.mp4"))


def wait_for(
    moment: Moment, scene: Scene, before: Before, process: subprocess.Popen[str], chance: random.Random
) -> None:
    """Returns when the moment has come, or the process has ended, or it was waited for long enough."""
    begun, later = time.monotonic(), chance.choice((0.0, 0.0, 0.002, 0.01, 0.05)) * chance.random()
    longest = STARTUP_S * chance.random() if moment is Moment.START else LONGEST_S * chance.random() ** 2 + STARTUP_S
    seen = _seen(moment, scene, before, chance)
    while process.poll() is None and time.monotonic() - begun < longest:
        if seen():
            time.sleep(later)
            return
        time.sleep(0.001)


def _seen(moment: Moment, scene: Scene, before: Before, chance: random.Random) -> Callable[[], bool]:
    """What says that the moment has come; never true for those that are left to chance."""
    if moment is Moment.JOURNAL:
        return _Grown(scene.paths.journal, before.journal[0])
    if moment is Moment.POST:
        wanted = before.accepted + 1 + 400 * chance.choice((0, 0, 3, 8))  # a line has some 400 bytes
        return lambda: _size(_ledger(scene)) >= wanted
    if moment is Moment.DOWNLOAD:
        return lambda: _count(scene.videos, "*.part") > 0
    if moment is Moment.PUBLISH:
        more = before.videos + chance.choice((1, 1, 3, 8))
        return lambda: _count(scene.videos, "*.mp4") >= more
    if moment is Moment.FOLD:
        return _Folds(scene.folder, chance.choice((1, 2, 2, 3, 6)))
    if moment is Moment.LATE:
        least = len(scene.inputs) * 0.8 - chance.randrange(3)
        return lambda: _count(scene.videos, "*.mp4") >= least and not _count(scene.videos, "*.part")
    return lambda: False


class _Grown:
    """Whether a new journal, not the one of the last session, has taken its first event."""

    def __init__(self, journal: Path, old: int) -> None:
        self._journal, self._old, self._first = journal, old, 0

    def __call__(self) -> bool:
        number, size = _stamp(self._journal)
        if number in (0, self._old):
            return False
        with suppress(FileNotFoundError):
            size = len(self._journal.read_bytes().rstrip(b"\0"))  # behind it lies room for what is to come
        self._first = self._first or size
        return size > self._first


class _Folds:
    """Whether so many temporary files of folds were seen, each by its own number."""

    def __init__(self, folder: Path, wanted: int) -> None:
        self._folder, self._wanted, self._seen = folder, wanted, set[int]()

    def __call__(self) -> bool:
        self._seen |= {_stamp(path)[0] for path in self._folder.glob(".*.tmp")} - {0}
        return len(self._seen) >= self._wanted


def _ledger(scene: Scene) -> Path:
    return scene.service / "ledger.jsonl"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_ino, stat.st_size


def _size(path: Path) -> int:
    return _stamp(path)[1]


def _count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))
