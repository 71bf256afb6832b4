from __future__ import annotations

import io
import subprocess
import sys
import threading

import pytest
from rich.console import Console, ConsoleDimensions

from batchgen.engine.notices import Changed, Held, Lost, Received, Stopping
from batchgen.records import Failure, Record, Status
from batchgen.report.display import frame
from batchgen.report.progress import (
    PLAIN_SUMMARY_S,
    Outlet,
    PlainProgress,
    Progress,
    QuietProgress,
    TerminalProgress,
    Ticker,
    progress_for,
)
from batchgen.report.stream import SafeStream
from batchgen.report.telling import BESIDE_A_BAR, EVERYTHING, URGENT, Teller
from batchgen.report.watching import Tally, View
from batchgen.report.words import cells
from tests.report.samples import Clock, Terminal, doubt, downloaded, failed, record, submitted

LOST = Lost("lamp", "run_123", None)
LIMITED = Failure("RATE_LIMITED", "Rate limit exceeded")


def batch(runs: int) -> Tally:
    records = {f"r{number}": record(f"r{number}") for number in range(runs)}
    return Tally(records, records)


def plain(stream: io.StringIO, clock: Clock, runs: int = 10_000) -> PlainProgress:
    outlet = Outlet(SafeStream(stream), clock.steady, clock.wall)
    return PlainProgress(batch(runs), outlet, Teller(EVERYTHING, verbose=False, total=runs))


def on_terminal(stream: Terminal, clock: Clock, runs: int = 10) -> TerminalProgress:
    outlet = Outlet(SafeStream(stream), clock.steady, clock.wall)
    return TerminalProgress(batch(runs), outlet, Teller(BESIDE_A_BAR, verbose=False, total=runs))


# ------------------------------------------------------------------------------------------------------ plain lines


def test_plain_lines_carry_the_time_of_day_at_which_something_happened() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = plain(stream, clock)
    progress(failed("r1"))
    clock.now += 5
    progress.tick()
    assert stream.getvalue() == "08:00:00  r1: failed: prompt too long [invalid_input]\n"


def test_a_summary_comes_when_it_is_time_and_only_if_it_says_something_new() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = plain(stream, clock, runs=3)
    progress.tick()
    assert stream.getvalue() == ""
    for _ in range(3):
        clock.now += PLAIN_SUMMARY_S
        progress.tick()
    assert stream.getvalue() == "08:00:30  0 of 3 · 3 waiting · $0.00 spent\n"


def test_ten_thousand_runs_make_few_lines() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = plain(stream, clock)
    for number in range(10_000):
        clock.now += 0.1
        progress(submitted(f"r{number}"))
        progress(downloaded(f"r{number}"))
        progress.tick()
    lines = stream.getvalue().splitlines()
    assert len(lines) < 60
    assert "10,000" in lines[-1]


def test_what_waits_is_written_at_the_end() -> None:
    stream = io.StringIO()
    with plain(stream, Clock()) as progress:
        progress(failed("r1"))
    assert "r1: failed" in stream.getvalue()


# ------------------------------------------------------------------------------------------------------------ quiet


def test_quiet_shows_only_stops_losses_and_doubts() -> None:
    stream = io.StringIO()
    with progress_for(batch(10), terminal=False, quiet=True, verbose=True, stream=stream) as progress:
        for notice in (submitted("r1"), downloaded("r1"), failed("r2"), Held("requests", LIMITED, 6)):
            progress(notice)
        assert stream.getvalue() == ""
        progress(LOST)
        progress(Changed(doubt("r3"), Status.SUBMITTING))
        progress(Stopping(Failure("stopped", "Stopped by a signal.")))
    words = stream.getvalue()
    assert [line.split()[0] for line in words.splitlines()] == ["THE", "r3:", "stopping:"]


# ------------------------------------------------------------------------------------------------------ every kind


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [(True, False, TerminalProgress), (False, False, PlainProgress), (True, True, QuietProgress)],
)
def test_the_kind_that_fits(terminal: bool, quiet: bool, kind: type[Progress]) -> None:
    stream = Terminal()
    assert type(progress_for(batch(1), terminal=terminal, quiet=quiet, verbose=False, stream=stream)) is kind


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("quiet", [True, False])
def test_a_lost_id_is_shown_at_once_inside_and_outside_of_the_display(terminal: bool, quiet: bool) -> None:
    stream = Terminal()
    progress = progress_for(batch(1), terminal=terminal, quiet=quiet, verbose=False, stream=stream)
    with progress:
        progress(LOST)
        assert stream.getvalue().count("run_123") == 1
    progress(LOST)
    assert stream.getvalue().count("run_123") == 2


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_that_has_gone_does_not_end_the_batch(terminal: bool) -> None:
    stream = Terminal()
    with progress_for(batch(3), terminal=terminal, quiet=False, verbose=True, stream=stream) as progress:
        stream.fails = True
        for notice in (submitted("r1"), failed("r2"), LOST):
            progress(notice)
        progress.tick()


class Stuck(Terminal):
    """A terminal on which Ctrl-S was pressed: whoever writes waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        if threading.current_thread() is not threading.main_thread():
            self.entered.set()
            assert self.released.wait(10)
        return super().write(text)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_that_takes_nothing_does_not_hold_up_the_batch(terminal: bool) -> None:
    stream = Stuck()
    with progress_for(batch(100), terminal=terminal, quiet=False, verbose=True, stream=stream) as progress:
        progress(failed("r1"))
        assert stream.entered.wait(10)
        for number in range(2, 50):
            progress(failed(f"r{number}"))  # would wait for ever here if the lock were held while writing
        assert "r40" not in stream.getvalue()
        stream.released.set()
    assert "r49" in stream.getvalue()


def test_after_the_end_of_a_ticker_nothing_is_called_any_more() -> None:
    calls: list[int] = []
    called = threading.Event()

    def call() -> None:
        calls.append(1)
        called.set()

    ticker = Ticker(call, 0.001)
    ticker.start()
    assert called.wait(10)
    ticker.stop()
    count = len(calls)
    assert not any(thread.name == "progress" for thread in threading.enumerate())
    assert len(calls) == count


def test_a_progress_can_end_without_having_begun() -> None:
    progress = on_terminal(Terminal(), Clock())
    progress.__exit__(None, None, None)


def test_rich_is_not_imported_before_a_terminal_display_is_made() -> None:
    code = (
        "import io, sys\n"
        "from batchgen.report.progress import progress_for\n"
        "from batchgen.report.watching import Tally\n"
        "import batchgen.report.summary, batchgen.report.tables, batchgen.report.listing, batchgen.report.logfile\n"
        "with progress_for(Tally({}, ()), terminal=False, quiet=False, verbose=False, stream=io.StringIO()):\n"
        "    pass\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('rich', 'httpx', 'anyio', 'click')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --------------------------------------------------------------------------------------------------------- terminal


def test_the_display_removes_itself_and_leaves_the_lines_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with on_terminal(stream, Clock()) as progress:
        progress(failed("r1"))
        progress.tick()
        assert "1 of 10" in stream.getvalue()
    shown = _screen(stream.getvalue())
    assert shown == ["r1: failed: prompt too long [invalid_input]"]


def _screen(written: str, width: int = 200) -> list[str]:
    """What a terminal shows after these bytes: just as much of one as rich uses here."""
    rows, row, at = [""], 0, 0
    for text, command in _tokens(written):
        if command == "A":
            row = max(0, row - int(text or "1"))
        elif command == "K":
            rows[row], at = "", 0
        elif command == "\n":
            row, at = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif command == "\r":
            at = 0
        elif command == "text":
            rows[row] = rows[row][:at].ljust(at) + text + rows[row][at + len(text) :]
            at += len(text)
            assert at <= width
    return [line for line in rows if line.strip()]


def _tokens(written: str) -> list[tuple[str, str]]:
    import re

    found = []
    for match in re.finditer(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)", written):
        number, letter, line, text = match.groups()
        found.append((number, letter) if letter else (line, line) if line else (text, "text"))
    return found


def _frame(view: View, now: float, width: int, height: int = 24, encoding: str = "utf-8") -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=False, highlight=False)
    console.print(frame(view, now, ConsoleDimensions(width, height), encoding))
    return file.getvalue().splitlines()


def busy(runs: int) -> Tally:
    """A batch in the thick of it: finished, failed, in doubt, downloading, held, with long and Japanese ids."""
    tally = batch(runs)
    for number in range(runs // 3):
        tally.heed(downloaded(f"r{number}"), number)
    names = ["朝の東京、雨に濡れた路地をゆっくり歩く猫" * 3 + "-3fa9c2", *(f"lamp-{n}" * 9 for n in range(7))]
    for name in names:
        tally.heed(Received(name, 3_200_000, 8_000_000), runs)
    tally.heed(Held("requests", Failure("not_sent", "Connection refused"), 8), runs)
    tally.heed(Held("submissions with key sha256:1f0c2d3e", LIMITED, 900), runs)
    return tally


@pytest.mark.parametrize("runs", [10, 3000])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 10), (20, 5), (200, 50)])
def test_a_frame_fits_into_the_terminal(runs: int, width: int, height: int) -> None:
    lines = _frame(busy(runs).view(runs), runs, width, height)
    assert 0 < len(lines) <= max(1, height - 2)
    assert all(cells(line) < width for line in lines)


def test_a_frame_at_80_columns() -> None:
    lines = _frame(busy(3000).view(3000), 3000, 80)
    assert lines[0].endswith("1,000 of 3,000")
    assert lines[1:5] == [
        "  1,000 downloaded · 2,000 waiting",
        "  $48.00 spent",
        "  submissions with key sha256:1f0c2d3e held back: rate limited, 15 min",
        "  cannot reach the service (Connection refused), next try in 8 s",
    ]
    assert lines[5].startswith("  朝の東京")
    assert lines[5].endswith("3.2 MB of 8.0 MB   40 %")
    assert lines[-1] == "  and 3 more downloads"


def test_the_countdown_goes_down() -> None:
    tally = batch(1)
    tally.heed(Held("requests", LIMITED, 6), 100)
    assert "  rate limited, 6 s" in _frame(tally.view(100), 100, 80)
    assert "  rate limited, 2 s" in _frame(tally.view(104), 104, 80)
    assert not any("limited" in line for line in _frame(tally.view(106), 106, 80))


def test_a_frame_for_a_terminal_that_knows_only_ascii_is_measured_after_its_spelling() -> None:
    lines = _frame(busy(10).view(10), 10, 80, encoding="ascii")[1:]
    assert all(line.isascii() and len(line) < 80 for line in lines)


def test_markup_in_an_id_is_no_markup() -> None:
    stream = Terminal()
    names: dict[str, Record] = {"[red]x[/red]": record("[red]x[/red]")}
    tally = Tally(names, names)
    outlet = Outlet(SafeStream(stream))
    with TerminalProgress(tally, outlet, Teller(URGENT | BESIDE_A_BAR, verbose=False, total=1)) as progress:
        progress(failed("[red]x[/red]"))
        progress.tick()
    assert "[red]x[/red]: failed" in stream.getvalue()
