"""Which schema checks which model: the user's own, a bundled one, or none where the user asked for none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from batchgen.errors import UsageProblem
from batchgen.manifest.checker import Checked, Checker, Unchecked
from batchgen.manifest.jsontext import JsonFault, parse
from batchgen.manifest.shapes import LoadOptions
from batchgen.manifest.source import read_bytes
from batchgen.manifest.suggest import shown
from batchgen.models import registry


class Checks(Protocol):
    """What checks the inputs of one model."""

    @property
    def names(self) -> frozenset[str] | None:
        """The parameters that the model takes, or `None` where any may pass."""

    def check(self, params: Mapping[str, object]) -> Checked:
        """The input coerced, and all its faults."""


class Checkers:
    """The checker of every model that a manifest names, each made once."""

    def __init__(self, options: LoadOptions) -> None:
        """Raises `UsageProblem` where a schema file cannot be used."""
        self._given = {model: (_schema(path), str(path)) for model, path in options.schemas}
        self._unvalidated = options.unvalidated
        self._made: dict[str, Checks | None] = {}

    def get(self, model: str) -> Checks | None:
        """What checks this model's inputs, or `None` where nobody knows the model."""
        if model not in self._made:
            self._made[model] = self._make(model)
        return self._made[model]

    def model_names(self) -> tuple[str, ...]:
        """Every model that has a schema, for suggestions."""
        return (*registry.model_ids(), *(model for model in self._given if model is not None))

    def all_parameters(self) -> frozenset[str]:
        """Every parameter that any model with a schema takes."""
        bundled = [model.input_schema for model in map(registry.get, registry.model_ids()) if model]
        schemas = [*bundled, *(schema for schema, _ in self._given.values())]
        return frozenset(name for schema in schemas for name in schema.get("properties", {}))

    def _make(self, model: str) -> Checks | None:
        if model in self._given:
            return Checker(model, *self._given[model])
        bundled = registry.get(model)
        if bundled is not None:
            return Checker(model, bundled.input_schema, f"the schema of {model}")
        if None in self._given:
            return Checker(model, *self._given[None])
        return Unchecked() if self._unvalidated else None


def _schema(path: Path) -> Mapping[str, Any]:
    data = read_bytes(path, "schema")
    try:
        schema = parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageProblem(f"{path} is not UTF-8, so it is no JSON Schema.") from None
    except JsonFault as error:
        raise UsageProblem(f"{path} is no JSON Schema: {error}") from None
    if not isinstance(schema, dict):
        raise UsageProblem(f"{path} is no JSON Schema of an input: it is not a JSON object.")
    _check(schema, path)
    return schema


def _check(schema: dict[str, Any], path: Path) -> None:
    import jsonschema

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "its root"
        raise UsageProblem(f"{path} is no valid JSON Schema: {shown(error.message)} at {shown(where)}.") from None
    except Exception as error:  # a pattern that does not compile, a meta-schema that cannot be found
        raise UsageProblem(f"{path} is no valid JSON Schema: {shown(str(error))}.") from error
