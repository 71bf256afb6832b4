"""Lossless coercion of what was written towards what a schema wants: between text, number, boolean and list.

A value that cannot be coerced without losing or inventing something stays as it is, for the validator to refuse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from batchgen.manifest.jsontext import JsonFault, parse
from batchgen.manifest.shapes import NULLS, Plain

Convert = Callable[[object], Any]
Schema = Mapping[str, Any]

NO: Final = object()
"""The answer of a converter that finds no lossless way."""

BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CORE_INT = re.compile(r"[+-]?\d{1,300}", re.ASCII)
_CORE_OTHER_BASE = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_CORE_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_EXACT = 2**53
_DEEPEST = 8
"""Levels of a schema that are coerced; deeper values are taken as they are, so that a schema may refer to itself."""


def converter(schema: Schema, root: Schema) -> Convert:
    """A function that coerces a value towards a schema, or answers `NO` where it finds no lossless way."""
    return _strict(schema, root, 0)


def as_text(value: object) -> Any:
    """The value with every plain scalar in it as an ordinary string."""
    return _mapped(value, str)


def resolved(value: object) -> Any:
    """The value with every plain scalar in it resolved as the core schema of YAML 1.2 has it; for unchecked runs."""
    return _mapped(value, _core)


def to_number(text: str) -> int | float | None:
    """The number that a text spells, whole ones as `int`; `None` for anything else."""
    text = text.strip()
    if len(text) > 64 or not _NUMBER.fullmatch(text):
        return None
    if _CORE_INT.fullmatch(text):
        return int(text)
    return _normal(float(text)) if math.isfinite(float(text)) else None


def _normal(value: float) -> int | float:
    """8 and 8.0 are one number, and must be one input."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


def _mapped(value: object, leaf: Callable[[str], object]) -> Any:
    if isinstance(value, str):
        return leaf(value) if isinstance(value, Plain) else str(value)
    if isinstance(value, list):
        return [_mapped(item, leaf) for item in value]
    if isinstance(value, dict):
        return {str(name): _mapped(item, leaf) for name, item in value.items()}
    return value


def _core(text: str) -> object:
    if text in NULLS:
        return None
    if text in _CORE_BOOLEANS:
        return _CORE_BOOLEANS[text]
    if _CORE_INT.fullmatch(text):
        return int(text)
    if _CORE_OTHER_BASE.fullmatch(text):
        return int(text, 0)
    number = to_number(text)
    return str(text) if number is None else number


def _strict(schema: Schema | bool, root: Schema, depth: int) -> Convert:
    """The converter for a schema of any form; the choices of a composite one are tried in their order."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return resolved
    schema = _dereferenced(schema, root)
    # All of an `allOf` hold at once, but coercing needs only one part that names a type; the validator judges the rest.
    parts = [part for name in ("anyOf", "oneOf", "allOf") for part in _list(schema.get(name))]
    types = _types(schema)
    options = [_of_type(kind, schema, root, depth) for kind in types]
    options += [_strict(part, root, depth + 1) for part in parts]
    if not options:
        return resolved
    return options[0] if len(options) == 1 else _first(options, types)


def _first(options: list[Convert], types: list[str]) -> Convert:
    def convert(value: object) -> Any:
        # What a plain scalar is by itself comes before what it could be made into.
        for seen in (_core(value), str(value)) if isinstance(value, Plain) else (value,):
            if _kind(seen) in types or (_kind(seen) == "integer" and "number" in types):
                return seen
        return next((found for option in options if (found := option(value)) is not NO), NO)

    return convert


def _kind(value: object) -> str:
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _dereferenced(schema: Schema, root: Schema) -> Schema:
    for _ in range(_DEEPEST):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        target: Any = root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            break  # the validator says what is wrong with it
        schema = target
    return schema


def _types(schema: Schema) -> list[str]:
    given = schema.get("type")
    if given is not None:
        return [kind for kind in _list(given) if isinstance(kind, str)]
    values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
    return list(dict.fromkeys(_kind(value) for value in values))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _of_type(kind: str, schema: Schema, root: Schema, depth: int) -> Convert:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if kind == "string" and isinstance(values, list):
        return _choice([value for value in values if isinstance(value, str)])
    if kind == "array":
        return _listed(_strict(schema.get("items", True), root, depth + 1))
    if kind == "object":
        properties = schema.get("properties")
        named = properties.items() if isinstance(properties, Mapping) else ()
        return _structured({name: _strict(part, root, depth + 1) for name, part in named})
    simple = {"string": _string, "number": _number, "integer": _integer, "boolean": _boolean, "null": _null}
    return simple.get(kind, resolved)


def _string(value: object) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(_normal(value)) if isinstance(value, int | float) else NO


def _number(value: object) -> Any:
    if isinstance(value, bool):
        return NO
    if isinstance(value, int | float):
        return _normal(value)
    number = to_number(value) if isinstance(value, str) else None
    return NO if number is None else number


def _integer(value: object) -> Any:
    number = _number(value)
    return number if isinstance(number, int) else NO


def _boolean(value: object) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        known = BOOLEANS.get(value)
        return BOOLEANS.get(value.strip().lower(), NO) if known is None else known
    return bool(value) if isinstance(value, int) and value in (0, 1) else NO


def _null(value: object) -> Any:
    return None if value is None or (isinstance(value, Plain) and value in NULLS) else NO


def _choice(options: list[str]) -> Convert:
    """One of an enumeration's strings: exactly, or by the same number, as 8.0 from a spreadsheet is "8"."""
    exact = {option: option for option in options}
    numbers = {number: option for option in reversed(options) if (number := to_number(option)) is not None}

    def convert(value: object) -> Any:
        if isinstance(value, str) and value in exact:
            return exact[value]
        text = _string(value)
        if text is NO:
            return NO
        found = exact.get(text.strip())
        if found is None and numbers and not isinstance(value, bool):
            number = to_number(text)
            found = None if number is None else numbers.get(number)
        return text if found is None else found

    return convert


def _listed(convert_item: Convert) -> Convert:
    """A list, or its text: JSON, or items between bars. A single text is a list of one."""

    def convert(value: object) -> Any:
        items = _items(value) if isinstance(value, str) else value
        if not isinstance(items, list):
            return NO
        found = [(item, convert_item(item)) for item in items]
        return [as_text(item) if made is NO else made for item, made in found]

    return convert


def _items(text: str) -> object:
    text = text.strip()
    if text.startswith("["):
        try:
            return parse(text)
        except JsonFault:
            return text
    return [item.strip() for item in text.split("|") if item.strip()]


def _structured(parts: Mapping[str, Convert]) -> Convert:
    def convert(value: object) -> Any:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = parse(value)
            except JsonFault:
                return NO
        if not isinstance(value, dict):
            return NO
        found = {name: (item, parts.get(name, resolved)(item)) for name, item in value.items()}
        return {str(name): as_text(item) if made is NO else made for name, (item, made) in found.items()}

    return convert
