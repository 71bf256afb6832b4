"""jsonschema's errors in the user's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from batchgen.manifest.shapes import RESERVED, Fault, Path_
from batchgen.manifest.suggest import nearest, one_of, shown

_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


TOLD = 50
"""How many unknown names in one input are told one by one: past so many, it is another kind of file."""


def label(path: Path_) -> str:
    """A way into an input, in words: "image_urls item 2"."""
    if not path:
        return "the input"
    return " ".join(f"item {step + 1}" if isinstance(step, int) else shown(step) for step in path)


def faults_of(errors: Iterable[Any], model: str) -> list[Fault]:
    """The faults in an input for `model`, from `jsonschema.ValidationError`s; each one once, in a stable order."""
    found = [fault for error in errors for fault in _faults(error, model)]
    meant = {fault.suggestion for fault in found if fault.at_key and len(fault.path) == 1}
    found = [fault for fault in found if not (fault.missing and fault.missing in meant)]
    return sorted(dict.fromkeys(found), key=lambda fault: ([str(step) for step in fault.path], fault.message))


def _faults(error: Any, model: str) -> list[Fault]:
    path: Path_ = tuple(error.absolute_path)
    tell = _TELL.get(error.validator)
    if tell is not None:
        return tell(path, error, model)
    bound = _BOUNDS.get(error.validator)
    if bound is not None:
        return [Fault(path, f"{label(path)} must {bound.format(shown(error.validator_value))}.")]
    return [Fault(path, f"{label(path)} does not fit the schema of {model} ({error.validator}).")]


def _required(path: Path_, error: Any, model: str) -> list[Fault]:
    where = f" in {label(path)}" if path else ""
    missing = [name for name in error.validator_value if name not in error.instance]
    message = "{} is missing{}; {} requires it."
    return [Fault(path, message.format(shown(name), where, model), missing=None if path else name) for name in missing]


def _unknown(path: Path_, error: Any, model: str) -> list[Fault]:
    names = list(error.schema.get("properties", {}))
    # Patterns let more names in, and only the validator matches them: its words then, not a guess.
    if error.schema.get("patternProperties"):
        return [Fault(path, f"{label(path)} holds a name that the schema of {model} does not know.")]
    extra = [name for name in error.instance if name not in error.schema.get("properties", {})]
    faults = [_unknown_parameter((*path, name), names, model) for name in extra[:TOLD]]
    if more := extra[TOLD:]:
        message = f"{model} takes no parameter {shown(str(more[0]))}, nor {len(more):,} others like it here."
        faults.append(Fault((*path, more[0]), message, at_key=True))
    return faults


def _unknown_parameter(path: Path_, names: Sequence[str], model: str) -> Fault:
    """A name that `model` does not take, with the nearest one that it does, or that a run may hold."""
    name = str(path[-1])
    known = (*names, *RESERVED) if len(path) == 1 else tuple(names)
    message = f"{model} takes no parameter {shown(name)}."
    if " " in name.strip() and len(path) == 1:
        message = f"{shown(name)} is no parameter; put quotes round a prompt that holds a colon."
    return Fault(path, message, nearest(name, known), at_key=True)


def _enum(path: Path_, error: Any, _model: str) -> list[Fault]:
    values = error.validator_value if error.validator == "enum" else [error.validator_value]
    choice = f"be one of {one_of(values)}" if len(values) > 1 else f"be {one_of(values)}"
    texts = [value for value in values if isinstance(value, str)]
    written = error.instance if isinstance(error.instance, str | int | float) else ""
    message = f"{label(path)} must {choice}, not {shown(error.instance)}."
    return [Fault(path, message, nearest(str(written), texts))]


def _type(path: Path_, error: Any, _model: str) -> list[Fault]:
    kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    enum = error.schema.get("enum") if isinstance(error.schema, Mapping) else None
    if isinstance(enum, list):
        return []  # the enumeration is broken as well, and says it better
    wanted = " or ".join(_TYPES.get(kind, str(kind)) for kind in kinds)
    suggestion = _number_meant(error.instance) if {"number", "integer"} & set(kinds) else None
    return [Fault(path, f"{label(path)} must be {wanted}, not {shown(error.instance)}.", suggestion)]


def _number_meant(value: object) -> str | None:
    """The number in "5s" or "1,5", which losslessly is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    text = value.strip().replace(",", ".").rstrip("secondSECOND ")
    return text if text != value and text.replace(".", "", 1).isdecimal() and text.isascii() else None


def _choice(path: Path_, error: Any, model: str) -> list[Fault]:
    return [Fault(path, f"{label(path)} must not be {shown(error.instance)}: it fits no form that {model} takes.")]


_TELL: Mapping[str, Callable[[Path_, Any, str], list[Fault]]] = {
    "required": _required,
    "additionalProperties": _unknown,
    "unevaluatedProperties": _unknown,
    "enum": _enum,
    "const": _enum,
    "type": _type,
    "anyOf": _choice,
    "oneOf": _choice,
}
_BOUNDS = {
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "exclusiveMinimum": "be more than {}",
    "exclusiveMaximum": "be less than {}",
    "multipleOf": "be a multiple of {}",
    "minLength": "have at least {} characters",
    "maxLength": "have at most {} characters",
    "minItems": "have at least {} items",
    "maxItems": "have at most {} items",
    "pattern": "match the pattern {}",
    "format": "be a valid {}",
    "uniqueItems": "not hold anything twice",
}
