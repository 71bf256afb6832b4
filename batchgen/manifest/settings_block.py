"""The `settings` block of a YAML manifest, checked for type. Flags and environment win over it later."""

from __future__ import annotations

import re
from collections.abc import Callable

from batchgen.manifest.coerce import to_number
from batchgen.manifest.document import Mapping
from batchgen.manifest.shapes import SUGGESTED, Text, is_absent
from batchgen.manifest.suggest import nearest, one_of, shown
from batchgen.records import Place, Problem

Settings = dict[str, object]
Rule = Callable[[str], object]

_RATE = re.compile(r"([1-9]\d{0,5})\s*/\s*(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smh]?)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class _Unfit(ValueError):
    """A setting that its rule refuses: what it must be, and the nearest choice."""

    def __init__(self, wanted: str, suggestion: str | None = None) -> None:
        super().__init__(wanted)
        self.suggestion = suggestion


def read_settings(node: Mapping, name: str) -> tuple[Settings, list[Problem]]:
    """The settings of a block, by name, and what is wrong with them. `name` is the file's."""
    settings: Settings = {}
    problems: list[Problem] = []
    for key, value in node.items():
        rule = RULES.get(key)
        if rule is None:
            at = node.key(key)
            place = Place(name, at.line, at.column)
            near = nearest(key, RULES) if len(problems) < SUGGESTED else None
            problems.append(Problem(place, f"unknown setting {shown(key)}.", near))
            continue
        if is_absent(value):
            continue
        try:
            settings[str(key)] = rule(value.strip() if isinstance(value, Text) else "")
        except _Unfit as error:
            place = Place(name, value.line, value.column)
            problems.append(Problem(place, f"{key} must be {error}, not {shown(value)}.", error.suggestion))
    return settings, problems


def _count(text: str) -> int:
    number = to_number(text)
    if not isinstance(number, int) or not 1 <= number <= 1_000_000:
        raise _Unfit("a whole number of at least 1")
    return number


def _dollars(text: str) -> float:
    number = to_number(text)
    if number is None or number < 0:
        raise _Unfit("an amount in US dollars, such as 5 or 2.50")
    return number


def _rate(text: str) -> str:
    found = _RATE.fullmatch(text)
    if not found or float(found[2]) <= 0:
        raise _Unfit("requests/seconds, such as 20/10")
    return f"{found[1]}/{found[2]}"


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if not found or float(found[1]) <= 0:
        raise _Unfit("a time in seconds, or with a unit, such as 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def _choice(*options: str) -> Rule:
    def rule(text: str) -> str:
        if text not in options:
            raise _Unfit(f"one of {one_of(options)}", nearest(text, options))
        return text

    return rule


RULES: dict[str, Rule] = {
    "concurrency": _count,
    "rate_limit": _rate,
    "max_cost": _dollars,
    "run_timeout": _seconds,
    "download_concurrency": _count,
    "on_no_credit": _choice("stop", "wait"),
    "changed": _choice("render", "keep"),
}
