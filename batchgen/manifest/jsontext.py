"""JSON as strangers write it: parsed within limits, and every way in which it can be wrong told in words."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 50
"""How deeply lists and mappings may be nested; an input needs two."""

_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class JsonFault(ValueError):
    """JSON that cannot be used: why, and the column (from 1) where that is known."""

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.column = column


def unusable_character(text: str) -> str | None:
    """The first character that no prompt can mean, as "U+0007": a control character, or half a surrogate pair.

    Tabs and line breaks are fine; `None` where there is no such character.
    """
    found = _UNUSABLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def parse(text: str) -> Any:
    """The value of a JSON text; raises `JsonFault`, and nothing else."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise JsonFault(f"this is not JSON: {error.msg}.", error.pos + 1) from None
    except JsonFault:
        raise
    except RecursionError:
        raise JsonFault(f"lists and mappings are nested more than {MAX_DEPTH} deep.") from None
    except ValueError:  # the interpreter's limit on the digits of an integer
        raise JsonFault("this holds a number with too many digits.") from None
    # Only an escape can bring in what the file's own text was already searched for.
    escaped = "\\" in text
    if escaped or text.count("[") + text.count("{") > MAX_DEPTH:
        _check(value, 0, escaped)
    return value


def _check(value: object, depth: int, escaped: bool) -> None:
    if isinstance(value, str):
        bad = unusable_character(value) if escaped else None
        if bad:
            raise JsonFault(f"text cannot hold the character {bad}.")
        return
    if not isinstance(value, list | dict):
        return
    if depth >= MAX_DEPTH:
        raise JsonFault(f"lists and mappings are nested more than {MAX_DEPTH} deep.")
    for item in value:
        _check(item, depth + 1, escaped)
    if isinstance(value, dict):
        for item in value.values():
            _check(item, depth + 1, escaped)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonFault(f"{json.dumps(twice[:60])} is given twice.")
    return found


def _no_constant(name: str) -> float:
    raise JsonFault(f"{name} is not a number that JSON knows.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonFault(f"{text[:40]} is too large a number.")
    return value
