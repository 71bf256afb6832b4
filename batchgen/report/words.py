"""Numbers, times and foreign text in words for a person, and columns that stay straight with any script."""

from __future__ import annotations

import math
import re
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import timedelta

# Output that goes into a file or a pipe is not cut: nobody can widen it later.
UNLIMITED = 10_000

# Control characters move the cursor, and direction marks reorder a line: neither may come from a prompt or a server.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What people paste into a manifest by mistake, and messages about it into bug reports.
_KEY = re.compile(r"""\bsk-(?=[^\s"',;]*\d)[^\s"',;]{12,}""")
_CONTROL_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text from outside as one harmless line: white space is one space, control characters are spelled out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", " ".join(text.split()))


def harmless(text: str) -> str:
    """Lines of text with their control characters spelled out, in the one way that JSON reads as the same text."""
    return _CONTROL_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_keys(text: str) -> str:
    """The text without what looks like an API key."""
    return _KEY.sub("[key]", text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 run", "1,204 runs"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """A time in seconds as people say it: "8 s", "12 min 5 s", "1 h 18 min"; "for good" without an end."""
    if math.isinf(seconds):
        return "for good"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 30 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{timedelta(hours=hours).days} days {hours % 24} h"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(number: int) -> str:
    """A number of bytes: "812 B", "4.2 MB" (decimal, as file managers and servers count)."""
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def terminal_width() -> int:
    """The columns of the terminal that stdout is, or of COLUMNS; in effect unlimited where it is neither."""
    return max(20, shutil.get_terminal_size((UNLIMITED, 24)).columns)


def cells(text: str) -> int:
    """How many columns a terminal gives a text: two to a wide character, none to a mark that joins another."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text, or as much of its start as fits into so many columns with an ellipsis."""
    if cells(text) <= width:
        return text
    return _start(text, max(0, width - len(ellipsis))) + ellipsis[:width]


def cut_middle(text: str, width: int, ellipsis: str = "…") -> str:
    """The text, or its start and end: ids made from prompts are told apart by the hash that they end in."""
    if cells(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 4:
        return cut(text, width, ellipsis)
    tail = _start(text[::-1], min(9, room // 2))[::-1]
    return _start(text, room - cells(tail)) + ellipsis + tail


def _start(text: str, width: int) -> str:
    used = 0
    for at, character in enumerate(text):
        used += _cells_of(character)
        if used > width:
            return text[:at]
    return text


def pad(text: str, width: int) -> str:
    """The text with spaces after it up to so many columns."""
    return text + " " * (width - cells(text))


def packed(parts: Iterable[str], width: int, separator: str) -> list[str]:
    """The parts on as few lines as they fit on; a part alone may be too long for its line."""
    lines: list[str] = []
    for part in parts:
        if lines and cells(lines[-1]) + cells(separator) + cells(part) <= width:
            lines[-1] += separator + part
        else:
            lines.append(part)
    return lines


def columns(rows: Sequence[Sequence[str]], width: int, indent: str = "  ") -> list[str]:
    """Rows as aligned columns. The first column gets half of the width at most, and the last one what is left."""
    if not rows:
        return []
    room = max(20, width - len(indent))
    wide = [max(cells(row[at]) for row in rows) for at in range(len(rows[0]))]
    wide[0] = min(wide[0], max(10, room // 2))
    return [_aligned(row, wide, room, indent) for row in rows]


def _aligned(row: Sequence[str], wide: Sequence[int], room: int, indent: str) -> str:
    first = pad(cut_middle(row[0], wide[0]), wide[0])
    middle = [pad(text, wide[at]) for at, text in enumerate(row[1:-1], start=1)]
    start = "  ".join((first, *middle))
    last = cut(row[-1], max(4, room - cells(start) - 2)) if len(row) > 1 else ""
    return (f"{indent}{start}  {last}" if last else indent + start).rstrip()
