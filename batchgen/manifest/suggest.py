"""Words for what was written, and the nearest thing that could have been meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

SHOWN = 60
"""Characters of a value that a message shows."""

_WORD = re.compile(r"[\w:.%+/-]{1,40}")
_RATIO = re.compile(r"(\d{1,4})\s*[:x×/]\s*0*(\d{1,4})(?::00)?", re.ASCII)
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(?:s|secs?|seconds?)?", re.ASCII | re.IGNORECASE)


def shown(value: object) -> str:
    """A value for a message: short, on one line, and with nothing in it that a terminal would obey."""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, str):
        cut = value if len(value) <= SHOWN else value[:SHOWN] + "…"
        return '"' + "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in cut) + '"'
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else f"{value:.12g}"


def one_of(options: Iterable[object]) -> str:
    """A choice, in words: "4, 8, 12"."""
    return ", ".join(shown(option) for option in options)


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that a word most likely stands for, or `None`.

    Case counts little; numbers go by distance, the lower of two equally near, which is the cheaper video.
    """
    return _nearest(word[:80], tuple(options))


@lru_cache(maxsize=1024)
def _nearest(word: str, options: tuple[str, ...]) -> str | None:
    folded = {option.casefold(): option for option in reversed(options)}
    wanted = word.strip().casefold()
    if wanted in folded:
        return folded[wanted]
    # A spreadsheet makes the time of day 16:09:00 of 16:9; people also write 16x9 and 16/9.
    ratio = _RATIO.fullmatch(wanted)
    if ratio and f"{ratio[1]}:{ratio[2]}" in folded:
        return folded[f"{ratio[1]}:{ratio[2]}"]
    seconds = _SECONDS.fullmatch(wanted)
    numbers = [option for option in options if _SECONDS.fullmatch(option) and option[-1:].isdigit()]
    if seconds and numbers:
        return min(numbers, key=lambda option: (abs(float(option) - float(seconds[1])), float(option)))
    close = get_close_matches(wanted, list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None
