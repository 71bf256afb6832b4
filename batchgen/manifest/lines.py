"""Manifests with a run on each line: JSON Lines, and plain text with one prompt a line."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.manifest.jsontext import JsonFault, parse
from batchgen.manifest.shapes import Draft, LinePlaces, Row, is_absent
from batchgen.manifest.source import Source
from batchgen.records import Place, Problem


def read_text(source: Source) -> Draft:
    """The draft of a text manifest: a prompt on every line that is not blank.

    Nothing in a line is special: a `#` at its start belongs to the prompt, for prompts may begin with one.
    """
    lines = enumerate(source.text.split("\n"), 1)
    rows = (Row(line=number, params={"prompt": line.strip()}) for number, line in lines if line.strip())

    return Draft(rows=rows, locate=LinePlaces(source.name, named=False))


def read_json_lines(source: Source) -> Draft:
    """The draft of a JSON Lines manifest: on each line, unless blank, an object, or a string, which is the prompt."""
    problems: list[Problem] = []
    return Draft(rows=_json_rows(source, problems), locate=LinePlaces(source.name), problems=problems)


def _json_rows(source: Source, problems: list[Problem]) -> Iterator[Row]:
    first = True
    for number, line in enumerate(source.text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _row(parse(line), number)
        except JsonFault as fault:
            message = (_other_layout(line) if first else None) or str(fault)
            problems.append(Problem(Place(source.name, number, fault.column), message))
        first = False


def _other_layout(line: str) -> str | None:
    """What to say of a first line that begins JSON, but not JSON Lines."""
    if line.lstrip().startswith("["):
        return "each line of a JSON Lines file is one run; this looks like a JSON array."
    if line.strip() == "{":
        return "each line of a JSON Lines file is one whole run; write the object on one line."
    return None


def _row(value: object, line: int) -> Row:
    if isinstance(value, str):
        return Row(line=line, params={"prompt": value})
    if not isinstance(value, dict):
        raise JsonFault("a run is a JSON object, or a string, which is its prompt.")
    inner = value.get("input")
    if not is_absent(inner) and not isinstance(inner, dict):
        raise JsonFault("input must be an object of parameters.")
    flat = {name: item for name, item in value.items() if name not in ("id", "model", "input")}
    twice = next((name for name in flat if name in (inner or {})), None)
    if twice is not None:
        raise JsonFault(f"{twice[:60]} is given twice: beside input and in it.")
    return Row(line=line, params={**flat, **(inner or {})}, id=value.get("id"), model=value.get("model"))
