"""Sets text in any script: runs of one font and direction, lines that fit a width, and a size that fits a box."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby

from PIL import Image, ImageDraw, features

from batchgen.sandbox.fonts import BUILT_IN, Face, FontBook, load_font

ELLIPSIS = "…"
LINE_HEIGHT = 1.32
MEASURE_SIZE = 64  # widths are measured once at this size, and scale with it
SLACK = 0.98  # hinting makes glyphs a little wider or narrower than their scaled width
SIZE_STEP = 0.94

Colour = tuple[int, int, int]

_JOINERS = "\u200d\u20e3"  # zero-width joiner, keycap
_VARIATION = range(0xFE00, 0xFE10)
_SKIN = range(0x1F3FB, 0x1F400)
_DIRECTIONS = {"R": True, "AL": True, "L": False, "EN": False, "AN": False}
_EMOJI = (range(0x1F000, 0x1FB00), range(0x2B50, 0x2B56))


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one font and one direction."""

    text: str
    face: Face
    rtl: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in place: its left end and baseline in pixels, and its paragraph's direction."""

    text: str
    x: float
    baseline: float
    rtl: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """Lines of text, and the size in pixels at which they fit."""

    lines: tuple[str, ...]
    size: int


class Typesetter:
    """Measures and draws with the fonts of one book; for one thread, since a FreeType font is."""

    def __init__(self, book: FontBook) -> None:
        self._book = book
        self._font = cache(load_font)
        self.width_of = cache(self._measure)

    def draw(self, image: Image.Image, line: Line, size: int, fill: Colour) -> None:
        """Draw one line, its runs in their visual order."""
        x = line.x
        for run in visual_order(self._runs(line.text, rtl=line.rtl), rtl=line.rtl):
            x += self._draw_run(image, (x, line.baseline), run, size, fill)

    def fit(self, text: str, box: tuple[int, int], largest: int, smallest: int) -> Setting:
        """Break the text into lines for a box of this width and height, as large as fits; the end may be cut off."""
        sizes = _sizes(largest, smallest)
        fits = bisect_left(sizes, True, key=lambda size: len(self._wrap(text, box, size)) <= _room(box, size))
        size = sizes[min(fits, len(sizes) - 1)]
        lines, room = self._wrap(text, box, size), _room(box, size)
        if len(lines) > room:
            lines = [*lines[: room - 1], self._shorten(lines[room - 1], box[0] * MEASURE_SIZE / size)]
        return Setting(tuple(lines), size)

    def _measure(self, text: str) -> float:
        """The width of a text at `MEASURE_SIZE`."""
        total = 0.0
        for run in self._runs(text):
            font, scale = self._font(run.face, MEASURE_SIZE)
            total += font.getlength(run.text) * scale
        return total

    def _wrap(self, text: str, box: tuple[int, int], size: int) -> list[str]:
        """Lines that are no wider than the box at this size, however many."""
        width = box[0] * SLACK * MEASURE_SIZE / size
        lines: list[str] = []
        for paragraph in text.splitlines() or [""]:
            line, used = "", 0.0
            for piece in pieces(paragraph):
                for part in [piece] if self.width_of(piece) <= width else list(piece):
                    advance = self.width_of(part)
                    if line and used + self.width_of(part.rstrip()) > width:
                        lines.append(line.rstrip())
                        line, used = "", 0.0
                    line, used = line + part, used + advance
            lines.append(line.rstrip())
        return lines

    def _shorten(self, line: str, width: float) -> str:
        while line and self._measure(line + ELLIPSIS) > width * SLACK:
            line = line[:-1].rstrip()
        return line + ELLIPSIS

    def _runs(self, text: str, *, rtl: bool = False) -> list[Run]:
        """Split into runs; marks stay with what they follow."""
        tagged: list[tuple[str, Face, bool]] = []
        for index, (char, direction) in enumerate(zip(text, directions(text, rtl=rtl), strict=True)):
            face = self._face(char, text[index + 1 : index + 2], tagged[-1][1] if tagged else None)
            tagged.append((char, face, direction))
        groups = groupby(tagged, key=lambda tag: tag[1:])
        return [Run("".join(char for char, _, _ in group), face, rtl) for (face, rtl), group in groups]

    def _face(self, char: str, follower: str, before: Face | None) -> Face:
        if before is not None and (_clings(char) or (char.isspace() and not before.colour)):
            return before
        emoji = follower == "\ufe0f" or any(ord(char) in span for span in _EMOJI)
        return self._book.face_for(char, emoji=emoji) or before or self._book.face_for("x") or BUILT_IN

    def _draw_run(self, image: Image.Image, at: tuple[float, float], run: Run, size: int, fill: Colour) -> float:
        font, scale = self._font(run.face, size)
        direction = ("rtl" if run.rtl else "ltr") if features.check("raqm") and run.face.path else None
        x, baseline = at
        if scale == 1.0:
            ImageDraw.Draw(image).text(
                (x, baseline), run.text, fill, font, "ls", direction=direction, embedded_color=run.face.colour
            )
        else:
            left, top, right, bottom = (int(edge) for edge in font.getbbox(run.text, anchor="ls"))
            if right > left and bottom > top:
                tile = Image.new("RGBA", (right - left, bottom - top))
                ImageDraw.Draw(tile).text((-left, -top), run.text, fill, font, "ls", embedded_color=True)
                small = tile.resize((max(1, round(tile.width * scale)), max(1, round(tile.height * scale))))
                image.paste(small, (round(x + left * scale), round(baseline + top * scale)), small)
        return float(font.getlength(run.text)) * scale


def pieces(paragraph: str) -> list[str]:
    """A paragraph in pieces between which a line may break: words with the spaces behind them, and wide characters."""
    found: list[str] = []
    for char in paragraph:
        if found and not _may_break(found[-1][-1], char):
            found[-1] += char
        else:
            found.append(char)
    return found


def _may_break(before: str, char: str) -> bool:
    if before.isspace():
        return not char.isspace()
    if char.isspace() or _clings(char) or _closes(char) or _opens(before) or before in _JOINERS:
        return False
    return _wide(before) or _wide(char)


def is_rtl(text: str) -> bool:
    """Whether the first character with a direction runs from right to left (rule P2 of Unicode's Annex 9)."""
    strong = (unicodedata.bidirectional(char) for char in text)
    return next((kind != "L" for kind in strong if kind in {"L", "R", "AL"}), False)


def visual_order(runs: Iterable[Run], *, rtl: bool) -> list[Run]:
    """Runs from left to right: those against the line's direction keep an order of their own, two levels deep."""
    ordered: list[Run] = []
    for against, group in groupby(runs, key=lambda run: run.rtl is not rtl):
        stretch = list(group)
        ordered += reversed(stretch) if against else stretch
    return ordered[::-1] if rtl else ordered


def directions(text: str, *, rtl: bool) -> list[bool]:
    """For each character whether it runs from right to left.

    Those without a direction follow their neighbours where both agree, else the line (rules N1, N2 of Annex 9).
    """
    own = [_DIRECTIONS.get(unicodedata.bidirectional(char)) for char in text]
    before = list(accumulate(own, lambda known, new: known if new is None else new, initial=rtl))[1:]
    after = list(accumulate(reversed(own), lambda known, new: known if new is None else new, initial=rtl))[:0:-1]
    return [bool(left if left == right else rtl) for left, right in zip(before, after, strict=True)]


def _sizes(largest: int, smallest: int) -> list[int]:
    """The sizes that are tried, from large to small."""
    sizes = [largest]
    while sizes[-1] > smallest:
        sizes.append(max(smallest, int(sizes[-1] * SIZE_STEP)))
    return sizes


def _room(box: tuple[int, int], size: int) -> int:
    """How many lines of this size the box holds."""
    return max(1, int(box[1] / (size * LINE_HEIGHT)))


def _clings(char: str) -> bool:
    """Whether a character belongs to the one before it: marks, joiners, variation selectors, skin tones."""
    code = ord(char)
    return char in _JOINERS or code in _VARIATION or code in _SKIN or unicodedata.combining(char) > 0


def _wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in {"W", "F"}


def _closes(char: str) -> bool:
    return unicodedata.category(char) in {"Pe", "Pf", "Po"} or char in "ーっゃゅょァィゥェォッャュョ"


def _opens(char: str) -> bool:
    return unicodedata.category(char) in {"Ps", "Pi"}
