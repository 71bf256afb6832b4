"""A batch as CSV (RFC 4180), in which nothing that came from outside can become a formula.

A spreadsheet takes a cell for a formula by its first character, quoted or not. OWASP's way out is an apostrophe before
it. A program set to another separator (Excel in half of Europe reads `;`) sees no quotes around a cell that is not the
first on its line, and begins new cells inside it; so the same holds behind each line break, tab and semicolon.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from batchgen.models import registry
from batchgen.report.export import MONEY, TIMES, Entry, facts
from batchgen.report.money import usd

FIRST = ("id", "status", "model")
LAST = (
    "run_id",
    "key",
    "files",
    "bytes",
    "sha256",
    *MONEY,
    "attempts",
    "attempts_in_doubt",
    "attempts_unpriced",
    *TIMES,
    "latency_seconds",
    "error_code",
    "error_message",
    "place",
    "in_manifest",
    "row_changed",
)

_SIGNS = "=+\\-@＝＋－＠﹦﹢﹣﹫"  # plain, full-width and small: spreadsheets take some of them for the plain ones
_SPLITS = "\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029;"  # where some program may begin another cell
# What a program may pass over before a sign: white space, control and invisible characters, quotes.
_PASSED = f"\\s{_SPLITS}\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\"'"
# Possessive, and never begun inside a run: a long run of blanks is looked at once.
_BEFORE_SIGN = re.compile(f"(?<![{_PASSED}])[{_PASSED}]++(?=[{_SIGNS}])")
_SPLIT = re.compile(f"[{_SPLITS}]")
# Nearly every cell: begins with a letter or digit, and no other cell could begin inside it.
_HARMLESS = re.compile(f"[^{_PASSED}{_SIGNS}][^{_SPLITS}]*+")
_BAD_START = re.compile(f"'*+[\\0\t\r\n]|[{_PASSED}]*+[{_SIGNS}]")


def csv_lines(entries: Iterable[Entry], parameters: Sequence[str]) -> Iterator[str]:
    """The table, line by line, the header first. `parameters`: those that have a column."""
    line = csv.writer(_Line()).writerow
    yield line([neutral(name) for name in header(parameters)])
    for entry in entries:
        yield line(_cells(facts(entry), parameters))


class _Line:
    """A file to the csv module; what is written to it is handed back, so that nothing is gathered."""

    def write(self, text: str) -> str:
        """The line."""
        return text


def parameter_columns(names: Collection[str]) -> list[str]:
    """Parameters in the order of their columns, whatever the data: as the bundled models have them, then by name."""
    models = (model for name in registry.model_ids() if (model := registry.get(name)))
    known = dict.fromkeys(name for model in models for name in model.input_schema["properties"])
    first = dict.fromkeys(("prompt", *known))
    return [name for name in first if name in names] + sorted(set(names) - first.keys())


def header(parameters: Iterable[str]) -> list[str]:
    """The names of all columns. A parameter that is called like a column of ours has `input.` before its name."""
    taken = {*FIRST, *LAST}
    named = []
    for parameter in parameters:
        name = parameter
        while name in taken:
            name = f"input.{name}"
        taken.add(name)
        named.append(name)
    return [*FIRST, *named, *LAST]


def _cells(known: Mapping[str, Any], parameters: Iterable[str]) -> list[str]:
    files, error = known["files"], known["error"] or {}
    spread = {
        **known,
        "files": _several([file["path"] for file in files]),
        "bytes": _several([file["bytes"] for file in files]),
        "sha256": _several([file["sha256"] for file in files]),
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        **{name: None if known[name] is None else _Exact(usd(known[name])) for name in MONEY},
    }
    given = [known["input"].get(name) for name in parameters]
    values = (*(spread[name] for name in FIRST), *given, *(spread[name] for name in LAST))
    return ["" if value is None else _cell(value) for value in values]


def _several(values: list[Any]) -> Any:
    """One value as it is; several, or one that looks like several, as a list."""
    return values[0] if len(values) == 1 and str(values[0])[:1] != "[" else values or None


class _Exact(str):
    """A number that is spelled already."""

    __slots__ = ()


def _cell(value: Any) -> str:
    """A value as its cell: numbers bare, also negative ones; lists and objects as JSON."""
    match value:
        case _Exact():
            return value
        case str():
            return neutral(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
    return neutral(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def neutral(text: str) -> str:
    """The text with an apostrophe wherever a spreadsheet could see a cell begin with a sign that makes a formula.

    Taking away one apostrophe at each such place gives the text again: a text with an apostrophe there gets another.
    """
    if not text or _HARMLESS.fullmatch(text):
        return text
    mended = _BEFORE_SIGN.sub(lambda found: _SPLIT.sub(r"\g<0>'", found[0]), text)
    return f"'{mended}" if _BAD_START.match(text) else mended
