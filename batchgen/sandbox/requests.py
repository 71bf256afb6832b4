"""Reads requests: key, JSON, model, input and faults, each refused in the service's own words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from batchgen.errors import UsageProblem
from batchgen.models import registry
from batchgen.sandbox.answer import Answer, error
from batchgen.sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class Asked:
    """What the HTTP layer knows of a request. `path` and `direct` are of files, `body` of a POST."""

    origin: str
    authorization: str = ""
    fault_header: str = ""
    body: bytes = b""
    path: str = ""
    direct: bool = False


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def validated(
    document: Mapping[str, Any], validators: dict[str, Validator]
) -> tuple[registry.Model, Mapping[str, Any]]:
    name, given = document.get("model"), document.get("input")
    if not isinstance(name, str) or not name:
        raise Refused(error(400, "missing_model", "Missing required parameter: model"))
    if given is None:
        raise Refused(error(400, "missing_input", "Missing required parameter: input"))
    model = registry.get(name)
    if model is None:
        raise Refused(error(400, "model_not_found", f"Model not found: {name}"))
    if name not in validators:
        validators[name] = validator_for(model.input_schema)(model.input_schema)
    if (problem := best_match(validators[name].iter_errors(given))) is not None:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.absolute_path)
        raise Refused(error(400, "invalid_input", f"Invalid input{where}: {problem.message}"))
    return model, given


def read_faults(read: Callable[[], tuple[Fault, ...]]) -> tuple[Fault, ...]:
    try:
        return read()
    except UsageProblem as problem:
        raise Refused(error(400, "invalid_input", f"{problem} {problem.hint or ''}".strip())) from problem


def json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise Refused(error(400, "invalid_json", "The body is not valid JSON")) from problem
    if not isinstance(document, dict):
        raise Refused(error(400, "invalid_json", "The body must be a JSON object"))
    return document


def fingerprint(authorization: str) -> str:
    """A key's fingerprint: what the program itself shows of a key. Any key that begins with `sk-` will do."""
    scheme, _, key = authorization.partition(" ")
    if not authorization:
        raise Refused(error(401, "missing_api_key", "Missing API key"))
    if scheme.lower() != "bearer" or not key.startswith("sk-"):
        raise Refused(error(401, "invalid_api_key", "Invalid API key"))
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
