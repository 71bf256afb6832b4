"""Finds fonts on this machine, and for each character the first that covers it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

from batchgen.sandbox.fontcover import Coverage, read_coverage

SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
MAX_FILES = 3000

# The first match decides; what matches nothing comes between the families named here and the styles below.
_FAVOURITES = (
    "notosans-regular",
    "dejavusans.",
    "liberationsans-regular",
    "helveticaneue",
    "segoeui.",
    "arial.",
    "notosanscjk-regular",
    "hiragino sans",
    "hiraginosans",
    "pingfang",
    "yugothm",
    "msyh.",
    "malgun.",
    "notocoloremoji",
    "apple color emoji",
    "seguiemj",
)
_PLAIN_STYLE = ("regular", "medium", "book")
_OTHER_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "serif", "math", "symbol")
_LAST_RESORTS = ("lastresort", "unifont", "fallback")

_BITMAP_SIZES = (109, 160, 136, 128, 96, 64, 48)  # those of colour fonts that cannot be scaled: Noto's, then Apple's


@dataclass(frozen=True, slots=True)
class Face:
    """A font file; without a path, the small font that Pillow brings along."""

    path: Path | None
    colour: bool = False


BUILT_IN = Face(None)


class FontBook:
    """The fonts of this machine in order of preference. A file is read when a character first asks for it."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = sorted(files, key=_rank)
        self._coverage: dict[Path, Coverage | None] = {}
        self._chosen: dict[tuple[str, bool], Face | None] = {}

    def face_for(self, char: str, *, emoji: bool = False) -> Face | None:
        """The first font that has the character (for an emoji, preferably in colour); `None` if none has."""
        known = (char, emoji)
        if known not in self._chosen:
            plain = self._first(char, colour=False)
            colour = self._first(char, colour=True) if emoji or plain is None else None
            self._chosen[known] = colour or plain
        return self._chosen[known]

    def _first(self, char: str, *, colour: bool) -> Face | None:
        for path in self._files:
            if path not in self._coverage:
                self._coverage[path] = read_coverage(path)
            coverage = self._coverage[path]
            if coverage is not None and coverage.colour is colour and char in coverage:
                return Face(path, colour)
        return None


def load_font(face: Face, size: int) -> tuple[FreeTypeFont | ImageFont.ImageFont, float]:
    """The font at a size in pixels, and the factor by which to shrink what it draws: some have only certain sizes."""
    if face.path is None:
        return ImageFont.load_default(size), 1.0
    for candidate in (size, *(_BITMAP_SIZES if face.colour else ())):
        try:
            return ImageFont.truetype(face.path, candidate), size / candidate
        except OSError:
            continue
    return ImageFont.load_default(size), 1.0


def installed_fonts(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The font files in the usual folders of this system; files that cannot be read as fonts do no harm."""
    found: list[Path] = []
    for folder in _folders(platform, environ):
        for path, _, names in os.walk(folder):
            found += [Path(path, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
            if len(found) > MAX_FILES:
                return found
    return found


def _folders(platform: str, environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or ".")
    if platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    if platform == "win32":
        local = Path(environ.get("LOCALAPPDATA", home)) / "Microsoft/Windows/Fonts"
        return [Path(environ.get("WINDIR", "C:/Windows")) / "Fonts", local]
    data = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    shared = [Path(folder) / "fonts" for folder in data.split(":") if folder.startswith("/")]
    own = Path(environ.get("XDG_DATA_HOME") or home / ".local/share") / "fonts"
    return [*dict.fromkeys([*shared, Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]), own, home / ".fonts"]


def _rank(path: Path) -> tuple[int, int, str]:
    name = path.name.lower()
    stem = name.replace("sansserif", "sans")
    if any(word in stem for word in _LAST_RESORTS):
        return 9, 0, name
    favourite = next((i for i, word in enumerate(_FAVOURITES) if stem.startswith(word)), None)
    if favourite is not None:
        return 0, favourite, name
    if any(word in stem for word in _OTHER_STYLES):
        return 3, 0, name
    return (1 if any(word in stem for word in _PLAIN_STYLE) else 2), 0, name
