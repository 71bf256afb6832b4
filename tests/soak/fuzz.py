"""What the fuzzing parts share: many cases over child processes, each case timed, each process's memory watched."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import random
import resource
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.__main__ import run_cli
from tests.soak.figures import Order

WORKERS = 2
CHUNK = 250
MOST_MEMORY_MB = 200.0
LONGEST_S = 5.0
"""Of processor time, in the full soak. A small share only guards against a hang: the machine may be busy."""
HANGS_S = 60.0

Case = Callable[[random.Random, Path], str]
"""Does one case in an empty folder and says, in a word or two, how it ended. Raises whatever is a finding."""


@dataclass
class Seen:
    """What came of a number of cases."""

    endings: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    grown_mb: float = 0.0

    def add(self, other: Seen) -> None:
        """Takes in the figures of other cases."""
        self.endings += other.endings
        self.grown_mb = max(self.grown_mb, other.grown_mb)
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = other.slowest_s, other.slowest

    @property
    def words(self) -> str:
        """The endings, the slowest case and the most memory, for a table."""
        endings = ", ".join(f"{number:,} {ending}" for ending, number in self.endings.most_common())
        return f"{endings}; slowest {self.slowest_s:.2f} s ({self.slowest}), at most {self.grown_mb:.0f} MB more"


def cases(order: Order, full: int, case: Case) -> Seen:
    """Does the order's share of `full` cases in child processes. Raises AssertionError with what repeats a finding."""
    count, seen = order.count(full), Seen()
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(WORKERS, len(chunks)), mp_context=context, max_tasks_per_child=1) as pool:
        for found in pool.map(_chunk, [case] * len(chunks), [order] * len(chunks), chunks):
            seen.add(found)
    longest = LONGEST_S if order.share >= 1 else HANGS_S
    assert seen.slowest_s < longest, f"seed {order.seed}, {seen.slowest} took {seen.slowest_s:.1f} s"
    assert seen.grown_mb < MOST_MEMORY_MB, f"a process grew by {seen.grown_mb:.0f} MB"
    return seen


def _chunk(case: Case, order: Order, numbers: range) -> Seen:
    seen = Seen()
    _one(case, order, numbers[0])  # what is loaded and kept once is not the memory of a case
    before = _peak_mb()
    for number in numbers:
        began = time.process_time()
        seen.endings[_one(case, order, number)] += 1
        took = time.process_time() - began
        if took > seen.slowest_s:
            seen.slowest_s, seen.slowest = took, f"case {number}"
    seen.grown_mb = _peak_mb() - before
    return seen


def _one(case: Case, order: Order, number: int) -> str:
    folder = order.folder / f"{case.__module__.rpartition('.')[2]}-{number}"
    folder.mkdir(exist_ok=True)
    try:
        ending = case(random.Random(f"{order.seed}/{number}"), folder)
    except BaseException as problem:
        words = "".join(traceback.format_exception(problem))[-3000:]
        raise AssertionError(f"seed {order.seed}, case {number}, kept in {folder}:\n{words}") from None
    _remove(folder)
    return ending


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Spoken:
    """What a command printed in this process, and its exit code."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> Spoken:
    """Runs a command in this process. Whatever is not turned into an exit code comes out: it would be a traceback."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_cli([*arguments])
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.detach().getvalue().decode())
    return Spoken(code, *texts)


def assert_harmless(*texts: str) -> None:
    """Nothing in what is printed moves a cursor, rings, colours or turns a line around."""
    for text in texts:
        bad = {char for char in set(text) if _is_obeyed(char)}
        assert not bad, f"printed {sorted(map(ascii, bad))}"


def _is_obeyed(char: str) -> bool:
    if char in "\n\t" or char.isascii():
        return char not in "\n\t" and not char.isprintable()
    turns = unicodedata.bidirectional(char) in _TURNING or char in "\u200e\u200f\u061c"
    return turns or unicodedata.category(char) in ("Cc", "Zl", "Zp")


_TURNING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def broken_bytes(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """The bytes with one to `most` damages of the kinds that disks, editors and transfers make."""
    for _ in range(rng.randint(1, most)):
        a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        b = min(b, a + rng.choice((1, 2, 8, 64, 5000)))
        data = rng.choice(_DAMAGES)(rng, data, a, b)
    return data


def _flip(rng: random.Random, data: bytes, a: int, _b: int) -> bytes:
    if not data:
        return b"\0"
    a = min(a, len(data) - 1)
    return data[:a] + bytes([data[a] ^ (1 << rng.randrange(8))]) + data[a + 1 :]


_BITS = (b"\n", b"\r", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff\xfe", b"\xed\xa0\x80", b"0", b"\x1b[2J")
_DAMAGES: tuple[Callable[[random.Random, bytes, int, int], bytes], ...] = (
    _flip,
    lambda _, data, a, _b: data[:a],
    lambda _, data, a, b: data[:a] + data[b:],
    lambda _, data, a, b: data[:b] + data[a:],
    lambda _, data, a, b: data[:a] + b"\0" * (b - a) + data[b:],
    lambda rng, data, a, b: data[:a] + rng.randbytes(b - a) + data[b:],
    lambda rng, data, a, b: data[:a] + rng.choice(_BITS) + data[b:],
    lambda _, data, a, b: data[:a] + data[b:] + data[a:b],
)
