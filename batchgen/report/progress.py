"""Progress on stderr: a calm display on a terminal, plain lines elsewhere, next to nothing when asked to be quiet.

Notices come from the thread that runs the batch; a second thread writes. One lock, never held while writing, keeps the
two apart, and the second thread is joined before a display ends, so that nothing is written after its end.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from batchgen.engine.notices import Lost, Notice
from batchgen.report.stream import SafeStream
from batchgen.report.telling import BESIDE_A_BAR, EVERYTHING, URGENT, Teller, lost_words, summary_line
from batchgen.report.watching import Tally, View

if TYPE_CHECKING:
    from batchgen.report.display import Screen

TICK_S = 0.2
PLAIN_SUMMARY_S = 30.0


def _wall_clock() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where progress is written, and what time it is: `steady` in seconds, `wall` for people."""

    stream: SafeStream
    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = _wall_clock


class Progress:
    """What every kind of progress has in common: a callable for notices, and a context manager around the batch.

    A line waits for the second thread to write it, so that a terminal or pipe that takes nothing (Ctrl-S, a pager)
    does not hold up a batch. A lost run id waits for nothing.
    """

    def __init__(self, tally: Tally, outlet: Outlet, teller: Teller) -> None:
        self._tally = tally
        self._outlet = outlet
        self._teller = teller
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        self._ticker = Ticker(self.tick, TICK_S)

    def __call__(self, notice: Notice) -> None:
        """Takes in a notice, and keeps the lines that it is worth."""
        if isinstance(notice, Lost):
            self.shout(lost_words(notice))
        now = self._outlet.steady()
        with self._lock:
            self._waiting += map(self.dressed, self._teller.lines(notice, now))
            self._tally.heed(notice, now)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.stop()
        self.write(self.taken())

    def tick(self) -> None:
        """What the second thread does a few times a second."""
        self.write(self.taken())

    def taken(self) -> list[str]:
        """The lines that wait to be written; they wait no longer."""
        with self._lock:
            lines, self._waiting = self._waiting, []
        return lines

    def view(self, now: float) -> View:
        """The batch as it stands."""
        with self._lock:
            return self._tally.view(now)

    def dressed(self, line: str) -> str:
        """The line with what this kind of progress adds to it."""
        return line

    def write(self, lines: list[str]) -> None:
        """Writes lines."""
        for line in lines:
            self._outlet.stream.line(line)

    def shout(self, line: str) -> None:
        """Writes a line that must not be missed, at once."""
        self._outlet.stream.line(line)


class QuietProgress(Progress):
    """Only what a person has to know: stops, losses, doubts."""


class PlainProgress(Progress):
    """Lines with the time of day, when something happens and every so many seconds."""

    def __init__(self, tally: Tally, outlet: Outlet, teller: Teller, every_s: float = PLAIN_SUMMARY_S) -> None:
        super().__init__(tally, outlet, teller)
        self._every_s = every_s
        self._due = outlet.steady() + every_s
        self._last = ""

    def tick(self) -> None:
        """Writes what waits; and the batch in a line when it is time, unless the last such line said the same."""
        lines, now = self.taken(), self._outlet.steady()
        if now >= self._due:
            self._due = now + self._every_s
            summary = summary_line(self.view(now), now)
            if summary != self._last:
                lines.append(self.dressed(summary))
            self._last = summary
        self.write(lines)

    def dressed(self, line: str) -> str:
        """The line behind the time of day."""
        return f"{self._outlet.wall():%H:%M:%S}  {line}"


class TerminalProgress(Progress):
    """One display at the end of the terminal, redrawn a few times a second; lines worth keeping go above it.

    It vanishes when it ends: the summary that follows says all of it.
    """

    def __init__(self, tally: Tally, outlet: Outlet, teller: Teller) -> None:
        super().__init__(tally, outlet, teller)
        self._screen: Screen | None = None

    def __enter__(self) -> Self:
        from batchgen.report.display import Screen  # rich: slow to import, and only wanted here

        self._screen = Screen(self._outlet.stream)
        self.tick()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        screen, self._screen = self._screen, None
        if screen:
            screen.close()

    def tick(self) -> None:
        """Writes what waits above the display, and shows the batch as it stands."""
        super().tick()
        if self._screen:
            now = self._outlet.steady()
            self._screen.show(self.view(now), now)

    def write(self, lines: list[str]) -> None:
        """Writes lines above the display, where there is one."""
        if self._screen:
            self._screen.print(lines)
        else:
            super().write(lines)

    def shout(self, line: str) -> None:
        """Writes a line above the display that must not be missed, at once."""
        if self._screen:
            self._screen.print([line], style="bold red")
        else:
            super().shout(line)


class Ticker:
    """Calls something every so many seconds in a thread of its own; after `stop` it is never called again."""

    def __init__(self, call: Callable[[], None], every_s: float) -> None:
        self._call = call
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins; the first call comes after the first interval."""
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends, and waits for a call that is under way. Not to be called while holding what that call needs."""
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._call()


def progress_for(tally: Tally, *, terminal: bool, quiet: bool, verbose: bool, stream: TextIO | None = None) -> Progress:
    """The progress that fits: on a terminal, elsewhere, or quiet. Writes to stderr unless a stream is given."""
    outlet = Outlet(SafeStream(stream or sys.stderr))
    if quiet:
        return QuietProgress(tally, outlet, Teller(URGENT, verbose=False, total=tally.total))
    if terminal:
        return TerminalProgress(tally, outlet, Teller(BESIDE_A_BAR, verbose=verbose, total=tally.total))
    return PlainProgress(tally, outlet, Teller(EVERYTHING, verbose=verbose, total=tally.total))
