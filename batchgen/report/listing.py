"""What `models` and `validate` print, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchgen.models.registry import Model
from batchgen.records import Place, Problem
from batchgen.report.words import clean, columns, cut, duration, terminal_width, without_keys

MOST_PROBLEMS = 50
LONGEST_MESSAGE = 1000
WIDEST_PROSE = 100


# ---------------------------------------------------------------------------------------------------------- models


def models_text(models: Iterable[Model], *, width: int | None = None) -> str:
    """The known models, one a line. `width` in columns."""
    rows = [(model.id, model.title, ", ".join(_parameters(model))) for model in models]
    table = columns(rows, terminal_width() if width is None else width, indent="")
    return "\n".join([*table, "", "batchgen models MODEL shows what a model takes."])


def models_json(models: Iterable[Model]) -> list[dict[str, Any]]:
    """The known models for programs, without their schemas."""
    return [
        {"model": model.id, "title": model.title, "description": model.description, "parameters": _parameters(model)}
        for model in models
    ]


def model_text(model: Model, *, width: int | None = None) -> str:
    """One model: what it takes, and what is assumed of its time. `width` in columns."""
    from textwrap import wrap  # only wanted here

    columns_there = terminal_width() if width is None else width
    schema = model.input_schema
    required = set(schema.get("required", ()))
    rows = [
        (name + ("*" if name in required else ""), _kind(entry), str(entry.get("title", "")))
        for name, entry in schema["properties"].items()
    ]
    return "\n".join(
        [
            f"{model.id}: {model.title}",
            model.description,
            "",
            *columns(rows, columns_there),
            "  (* required)",
            "",
            *_times(model),
            *wrap(model.source, min(columns_there, WIDEST_PROSE)),
        ]
    )


def model_json(model: Model) -> dict[str, Any]:
    """One model for programs: its input's JSON Schema as it is bundled."""
    return dict(model.input_schema)


def _parameters(model: Model) -> list[str]:
    return list(model.input_schema["properties"])


def _kind(entry: Mapping[str, Any]) -> str:
    """The values that a parameter takes, or their type."""
    if "enum" in entry:
        return " | ".join(value if isinstance(value, str) else json.dumps(value) for value in entry["enum"])
    kind = str(entry.get("type", "any"))
    return f"list of {entry.get('items', {}).get('type', 'anything')}s" if kind == "array" else _TYPES.get(kind, kind)


_TYPES = {"string": "text", "boolean": "true | false"}


def _times(model: Model) -> list[str]:
    """The usual time by duration, where one is assumed."""
    usual = model.assumed.seconds or {}
    return [f"  {name} s of video: usually {duration(low)} to {duration(high)}" for name, (low, high) in usual.items()]


# -------------------------------------------------------------------------------------------------------- problems


def problems_text(problems: Sequence[Problem]) -> str:
    """Every problem as `file:line:column: message`, with a suggestion; of very many, the first ones."""
    lines = [_problem(problem) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"… and {len(problems) - MOST_PROBLEMS:,} more; --json lists all")
    return "\n".join(lines)


def _problem(problem: Problem) -> str:
    # The place stays as it is, so that editors find it; nothing in it may move the cursor, though.
    return cut(clean(without_keys(str(problem))), LONGEST_MESSAGE)


def problems_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """The problems for programs, all of them."""
    return [
        {
            **_place_json(problem.place),
            "message": without_keys(problem.message),
            "suggestion": problem.suggestion,
        }
        for problem in problems
    ]


def _place_json(place: Place) -> dict[str, Any]:
    return {
        "file": place.file,
        "line": place.line,
        "column": without_keys(place.column) if isinstance(place.column, str) else place.column,
    }
