"""Which characters a font file covers: a reader for the one table of OpenType (`cmap`) that says so.

Pillow does not tell. The layout is that of the OpenType specification, chapters “Font file” and “cmap”.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

COLOUR_TABLES = frozenset({b"CBDT", b"COLR", b"sbix", b"SVG "})
MAX_TABLE_BYTES = 8 << 20
_UNICODE = {(3, 10): 5, (0, 6): 4, (0, 4): 3, (3, 1): 2, (0, 3): 1}  # platform and encoding: preference


@dataclass(frozen=True, slots=True)
class Coverage:
    """The characters of a font as sorted spans, both ends included, and whether its glyphs bring their own colours."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    colour: bool

    def __contains__(self, char: str) -> bool:
        place = bisect_right(self.starts, ord(char)) - 1
        return place >= 0 and ord(char) <= self.ends[place]


def read_coverage(path: Path) -> Coverage | None:
    """The coverage of a font file, of its first font if it is a collection; `None` if it cannot be read as one."""
    try:
        with path.open("rb") as file:
            tables = _directory(file)
            offset, length = tables[b"cmap"]
            file.seek(offset)
            spans = sorted(_spans(file.read(min(length, MAX_TABLE_BYTES))))
    except (OSError, KeyError, IndexError, ValueError, struct.error):
        return None
    colour = not COLOUR_TABLES.isdisjoint(tables)
    return Coverage(tuple(start for start, _ in spans), tuple(end for _, end in spans), colour)


def _directory(file: BinaryIO) -> dict[bytes, tuple[int, int]]:
    """The tables of the (first) font: tag to offset and length."""
    head = file.read(16)
    start = struct.unpack(">I", head[12:16])[0] if head.startswith(b"ttcf") else 0
    file.seek(start + 4)
    (count,) = struct.unpack(">H", file.read(2))
    file.seek(start + 12)
    rows = struct.iter_unpack(">4sIII", file.read(16 * count))
    return {tag: (offset, length) for tag, _, offset, length in rows}


def _spans(cmap: bytes) -> list[tuple[int, int]]:
    """The spans of the best Unicode subtable; raises KeyError where there is none that is understood."""
    (count,) = struct.unpack_from(">H", cmap, 2)
    records = (struct.unpack_from(">HHI", cmap, 4 + 8 * i) for i in range(count))
    ranked = sorted((_UNICODE[p, e], offset) for p, e, offset in records if (p, e) in _UNICODE)
    for _, offset in reversed(ranked):
        (form,) = struct.unpack_from(">H", cmap, offset)
        if form == 12:
            (groups,) = struct.unpack_from(">I", cmap, offset + 12)
            rows = struct.iter_unpack(">III", cmap[offset + 16 : offset + 16 + 12 * groups])
            return [(first, last) for first, last, _ in rows]
        if form == 4:
            return _segments(cmap, offset)
    raise KeyError("cmap")


def _segments(cmap: bytes, offset: int) -> list[tuple[int, int]]:
    """The segments of format 4. A character that a segment maps to no glyph counts as covered: rare, and harmless."""
    (twice,) = struct.unpack_from(">H", cmap, offset + 6)
    ends = struct.unpack_from(f">{twice // 2}H", cmap, offset + 14)
    starts = struct.unpack_from(f">{twice // 2}H", cmap, offset + 16 + twice)
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start <= end and start != 0xFFFF]
