"""The JSON Schema of a YAML manifest, for editors: made from the bundled models, so that choices complete.

An editor reads a file by YAML's rules, not by ours: to it 8 is a number and `yes` may be a text. So whatever the
program would coerce losslessly is allowed here too. Draft-07 is what editors know best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchgen.manifest.coerce import BOOLEANS, to_number
from batchgen.models import registry
from batchgen.models.registry import Model
from batchgen.records import DEFAULT_MODEL

Schema = dict[str, Any]

_NOTES = ("title", "description")
_MODEL = "Which model makes the video. One that is not listed needs its schema: --schema FILE."
_DEFAULTS = "Parameters that every run has, unless it says otherwise. In a run, null takes one back."
_ID = "The run's name in the state and of its file. Without one, it is made of the prompt and the parameters."


def manifest_schema() -> Schema:
    """The JSON Schema (draft-07) of a YAML manifest.

    It knows the bundled models only, and does not ask for a prompt, which the defaults may hold.
    """
    models = [model for model in map(registry.get, registry.model_ids()) if model is not None]
    definitions: Schema = {"anyRun": _any_run(models)}
    for model in models:
        definitions[_name("input", model.id)] = _mapping(_parameters(model), f"Parameters of {model.title}.")
        definitions[_name("run", model.id)] = _run(model)
        definitions[_name("runUsually", model.id)] = _run_usually(model)
        definitions[_name("defaults", model.id)] = _mapping(
            _parameters(model) | {"model": _model_name(models)}, _DEFAULTS
        )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A batchgen manifest",
        "description": "Prompts to turn into videos: a list of runs, or runs with what they share.",
        "if": {"type": "array"},
        "then": _runs(DEFAULT_MODEL),
        "else": _root(models),
        "definitions": definitions,
    }


def _name(kind: str, model_id: str) -> str:
    return f"{kind}:{model_id.replace('/', '.')}"  # a slash would have to be escaped in a reference


def _ref(kind: str, model_id: str) -> Schema:
    return {"$ref": f"#/definitions/{_name(kind, model_id)}"}


def _root(models: list[Model]) -> Schema:
    properties = {
        "model": _model_name(models),
        "defaults": {"description": _DEFAULTS},
        "runs": {"description": "The videos to make."},
        "output": _mapping({"dir": {"type": "string", "description": "Where videos go, from here."}}, "Where to save."),
        "settings": _mapping(
            _SETTINGS, "Options of `batchgen run`; the command line and the environment win over them."
        ),
    }
    return {
        "type": "object",
        "required": ["runs"],
        "properties": properties,
        "patternProperties": {"^x-": {"description": "Your own: a place for anchors."}},
        "additionalProperties": False,
        "allOf": [_where_model_is(model) for model in models],
    }


def _where_model_is(model: Model) -> Schema:
    """What holds in a manifest whose runs have this model unless they name another."""
    named = {"properties": {"model": {"const": model.id}}, "required": ["model"]}
    in_defaults = {"properties": {"defaults": named | {"type": "object"}}, "required": ["defaults"]}
    cases: list[Schema] = [named, in_defaults]
    if model.id == DEFAULT_MODEL:
        names_one = {"required": ["model"]}
        cases.append({"not": {"anyOf": [names_one, {"properties": {"defaults": names_one}, "required": ["defaults"]}]}})
    block = _ref("defaults", model.id)
    return {"if": {"anyOf": cases}, "then": {"properties": {"runs": _runs(model.id), "defaults": block}}}


def _runs(model_id: str) -> Schema:
    return {"type": "array", "minItems": 1, "items": _ref("runUsually", model_id)}


def _run_usually(model: Model) -> Schema:
    """A run in a manifest whose model is this one: it may name another, or be just its prompt."""
    return {
        "if": {"type": "object"},
        "then": {
            "if": {"required": ["model"]},
            "then": {"$ref": "#/definitions/anyRun"},
            "else": _ref("run", model.id),
        },
        "else": {"type": ["string", "number", "boolean"]},
    }


def _any_run(models: list[Model]) -> Schema:
    return {
        "properties": {"model": _model_name(models)},
        "allOf": [
            {
                "if": {"properties": {"model": {"const": model.id}}},
                "then": _ref("run", model.id),
            }
            for model in models
        ],
    }


def _run(model: Model) -> Schema:
    own = {
        "id": {"type": ["string", "number", "boolean"], "description": _ID},
        "model": {"type": "string", "description": _MODEL},
        "input": _ref("input", model.id),
    }
    return _mapping(own | _parameters(model), f"A video by {model.title}.")


def _model_name(models: list[Model]) -> Schema:
    return {"enum": [model.id for model in models], "description": _MODEL}


def _mapping(properties: Mapping[str, Any], description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "additionalProperties": False,
    }


def _parameters(model: Model) -> Schema:
    return {name: _written(part) for name, part in model.input_schema["properties"].items()}


def _written(schema: Mapping[str, Any]) -> Schema:
    """A parameter's schema as an editor needs it: with every spelling that coercion would turn into what is wanted."""
    notes = {name: schema[name] for name in _NOTES if name in schema}
    match schema.get("type"):
        case "string" if "enum" in schema:
            numbers = [number for option in schema["enum"] if (number := to_number(option)) is not None]
            return notes | {"enum": [*schema["enum"], *numbers, None]}
        case "string":
            return notes | {"type": ["string", "number", "boolean"]}
        case "boolean":
            return notes | {"enum": [True, False, *(word for word in BOOLEANS if word.isalpha()), 0, 1, None]}
        case "number" | "integer":
            spelled = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
            return notes | {"anyOf": [{"type": ["number", "null"]}, {"type": "string", "pattern": spelled}]}
        case "array":
            items = _written(schema.get("items", {}))
            return notes | {"anyOf": [{"type": "array", "items": items}, {"type": ["string", "null"]}]}
        case _:
            return notes


_SETTINGS: Schema = {
    "concurrency": {"type": "integer", "minimum": 1, "description": "Runs that are live at once."},
    "rate_limit": {
        "type": "string",
        "description": "Requests and seconds, such as 20/10.",
        "pattern": r"^\d+\s*/\s*[\d.]+$",
    },
    "max_cost": {"type": "number", "minimum": 0, "description": "US dollars that may be spent."},
    "run_timeout": {
        "type": ["number", "string"],
        "description": "How long to wait for a run: seconds, or 90s, 30m, 2h.",
        "pattern": r"^\d+(\.\d+)?\s*[smh]?$",
    },
    "download_concurrency": {"type": "integer", "minimum": 1, "description": "Videos downloaded at once."},
    "on_no_credit": {"enum": ["stop", "wait"], "description": "What to do when the balance is used up."},
    "changed": {"enum": ["render", "keep"], "description": "What to do with runs whose input has changed."},
}
