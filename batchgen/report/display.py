"""The terminal display, drawn with rich: one frame of a batch, and the place where frames are shown.

The only module that imports rich; it is imported when a display is really made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, cast

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchgen.report.messages import hold_words
from batchgen.report.stream import SafeStream, encodable
from batchgen.report.telling import count_parts, pace_parts
from batchgen.report.watching import Download, View
from batchgen.report.words import clean, cut, cut_middle, packed, pad, size

SEPARATOR = " · "
INDENT = "  "
WIDEST = 120
SHOWN_HOLDS = 2
NARROWEST_BAR = 8

_STYLES = {"downloaded": "green", "failed": "red", "doubt": "yellow"}


class Screen:
    """The display on a terminal. Drawn only when told to; `close` removes it. NO_COLOR is honoured by rich."""

    def __init__(self, stream: SafeStream) -> None:
        self._encoding = stream.encoding
        self._console = Console(file=cast(IO[str], stream), force_terminal=stream.isatty(), highlight=False)
        if "NO_COLOR" in os.environ:
            # rich leaves out the colours then, but not bold and dim; who asks for none wants plain text.
            self._console._color_system = None
        # Stray writes to stderr go above the display. stdout is left alone: it is data.
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=True
        )
        self._live.start()

    def show(self, view: View, now: float) -> None:
        """Draws the batch as it stands."""
        self._live.update(frame(view, now, self._console.size, self._encoding), refresh=True)

    def print(self, lines: Iterable[str], style: str = "") -> None:
        """Writes lines above the display, where they stay. Long ones are wrapped by the terminal, not cut."""
        text = encodable("\n".join(lines), self._encoding)
        if text:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True, style=style)

    def close(self) -> None:
        """Removes the display. What is written later is no longer drawn around it."""
        self._live.stop()


def frame(view: View, now: float, dimensions: ConsoleDimensions, encoding: str = "utf-8") -> RenderableType:
    """One picture of the batch, never higher or wider than the terminal."""
    # One column stays free: a full line makes some terminals wrap.
    width = max(10, min(dimensions.width, WIDEST) - 1)
    rows = max(1, dimensions.height - 2)
    lines: list[RenderableType] = [_bar(view, width)]
    lines += [_text(line, width, encoding) for line in _lines(view, now, width)]
    return Group(*lines[:rows])


def _lines(view: View, now: float, width: int) -> Iterator[tuple[str, str]]:
    """The lines below the bar, each with a style."""
    room = width - len(INDENT)
    for line in packed(count_parts(view), room, SEPARATOR):
        yield line, ""
    for line in packed(pace_parts(view), room, SEPARATOR):
        yield line, "dim"
    if view.stopping:
        yield f"stopping: {clean(view.stopping.message)}", "yellow"
    for hold in islice(view.holds, SHOWN_HOLDS):
        yield hold_words(hold.what, hold.reason, hold.until - now), "yellow"
    for download in view.downloads:
        yield download_words(download, room), ""
    if view.more_downloads:
        yield f"and {view.more_downloads:,} more downloads", "dim"


def _bar(view: View, width: int) -> RenderableType:
    done = f"{view.settled:,} of {view.total:,}"
    room = width - len(done) - 2
    if room < NARROWEST_BAR:
        return Text(cut(done, width), no_wrap=True)
    row = Table.grid(padding=0)
    bar = ProgressBar(total=max(1, view.total), completed=view.settled, width=room)
    row.add_row(bar, Text(f"  {done}", no_wrap=True))
    return row


def _text(line: tuple[str, str], width: int, encoding: str) -> Text:
    words, style = line
    ellipsis = encodable("…", encoding)
    words = INDENT + cut(encodable(words, encoding), width - len(INDENT), ellipsis)
    text = Text(words, style=style, no_wrap=True, overflow="crop")
    if not style:
        for word, colour in _STYLES.items():
            text.highlight_regex(rf"(?<![\w,])[\d,]+ (?:in )?{word}\b", colour)
    return text


def download_words(download: Download, width: int) -> str:
    """A video on its way: its run, how much has come, and how much that is of the whole."""
    if download.total:
        share = min(100, 100 * download.received // download.total)
        amount = f"{size(download.received)} of {size(download.total)}  {share:3d} %"
    else:
        amount = size(download.received)
    room = max(8, min(60, width - 28))
    return f"{pad(cut_middle(clean(download.id), room), room)}  {amount:>24}"
