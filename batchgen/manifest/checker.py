"""One model's input, checked: coerced towards its schema, accepted quickly, or refused in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from batchgen.errors import UsageProblem
from batchgen.manifest.coerce import NO, Convert, Schema, as_text, converter, resolved
from batchgen.manifest.shapes import Fault, is_absent
from batchgen.manifest.suggest import shown
from batchgen.manifest.words import faults_of

MOST_FAULTS = 1000
"""Of each kind that are told of one input."""

Accept = Callable[[Mapping[str, Any]], bool]

_NOTES = frozenset(("title", "description", "examples", "default", "deprecated", "$comment"))
_ROOT_NOTES = _NOTES | {"$schema", "$id", "x-batchgen", "type", "properties", "required", "additionalProperties"}
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "number": (int, float)}
_WEB = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


class Checked(NamedTuple):
    """An input as it would be sent, and what is wrong with it."""

    input: dict[str, Any]
    faults: list[Fault]


class Checker:
    """Checks inputs for one model. `names` are the parameters that it takes, or `None` where any may pass."""

    def __init__(self, model: str, schema: Schema, source: str) -> None:
        """`source` names the schema in a message; the schema itself must be a valid one."""
        self.model = model
        properties = schema.get("properties")
        self._properties = properties if isinstance(properties, Mapping) else {}
        self._schema = schema
        self._source = source
        # The name is kept with its converter: an input holds the schema's own, not the text read from the file.
        self._converters: Mapping[str, tuple[str, Convert]] = {
            name: (name, converter(part, schema)) for name, part in self._properties.items()
        }
        self._accepts = _acceptance(schema)
        self._errors: Callable[[object], list[Any]] | None = None

    @property
    def names(self) -> frozenset[str] | None:
        """The parameters that the model takes, or `None` where its schema lets others in as well."""
        return frozenset(self._properties) if self._schema.get("additionalProperties") is False else None

    def check(self, params: Mapping[str, object]) -> Checked:
        """The input coerced, and all its faults. A value that is null is one that is not given."""
        value = {}
        for name, raw in params.items():
            if not is_absent(raw):
                known = self._converters.get(name)
                if known is None:
                    value[str(name)] = resolved(raw)
                else:
                    made = known[1](raw)
                    value[known[0]] = as_text(raw) if made is NO else made
        faults = [] if self._accepts is not None and self._accepts(value) else self._judged(value)
        prompt = value.get("prompt", "x")
        if isinstance(prompt, str) and not prompt.strip():
            faults.append(Fault(("prompt",), "prompt is empty."))
        if "image_urls" in value:
            faults += _image_faults(value["image_urls"])
        return Checked(value, faults)

    def _judged(self, value: object) -> list[Fault]:
        if self._errors is None:
            self._errors = _validator(self._schema, self._source)
        return faults_of(self._errors(value), self.model)


class Unchecked:
    """Lets any input pass, for those who asked for it."""

    names: frozenset[str] | None = None

    def check(self, params: Mapping[str, object]) -> Checked:
        """The input with plain YAML scalars resolved as YAML 1.2 has them."""
        return Checked({str(name): resolved(value) for name, value in params.items()}, [])


def _acceptance(schema: Schema) -> Accept | None:
    """A quick test that accepts only what the schema accepts, or `None` for a schema too rich for it.

    jsonschema takes 39 µs for a row and 68 ms to import; an ordinary manifest should need neither. Whatever this test
    does not accept goes to jsonschema, which alone says what is wrong.
    """
    simple = schema.get("type") == "object" and schema.get("additionalProperties") is False
    if not simple or not set(schema) <= _ROOT_NOTES:
        return None
    tests = {name: _simple_test(part) for name, part in schema.get("properties", {}).items()}
    if None in tests.values():
        return None
    required = frozenset(schema.get("required", ()))

    def accepts(value: Mapping[str, Any]) -> bool:
        for name, item in value.items():
            test = tests.get(name)
            if test is None or not test(item):
                return False
        return required <= value.keys()

    return accepts


def _simple_test(schema: object) -> Callable[[object], bool] | None:
    if not isinstance(schema, Mapping):
        return None
    keys, kind = set(schema) - _NOTES, schema.get("type")
    if keys == {"type", "enum"} and kind == "string" and all(isinstance(value, str) for value in schema["enum"]):
        options = frozenset(schema["enum"])
        return lambda value: type(value) is str and value in options
    if keys == {"type", "items"} and kind == "array":
        inner = _simple_test(schema["items"])
        return None if inner is None else lambda value: type(value) is list and all(map(inner, value))
    types = _JSON_TYPES.get(kind) if keys == {"type"} and isinstance(kind, str) else None
    return None if types is None else lambda value: type(value) in types


def _validator(schema: Schema, source: str) -> Callable[[object], list[Any]]:
    import jsonschema
    from referencing import Registry

    # The empty registry keeps a schema that refers elsewhere from being fetched over the network.
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    validator = kind(schema, registry=Registry())

    def errors(value: Any) -> list[Any]:
        try:
            return list(islice(validator.iter_errors(value), MOST_FAULTS))
        except Exception as error:  # a foreign schema may break anything: a reference, a pattern, the recursion limit
            raise UsageProblem(f"{source} cannot be used: {shown(str(error) or type(error).__name__)}.") from error

    return errors


def _image_faults(urls: object) -> list[Fault]:
    listed = urls if isinstance(urls, list) else []
    faults = (
        Fault(("image_urls", index), *_image_fault(url))
        for index, url in enumerate(listed)
        if isinstance(url, str) and not _WEB.fullmatch(url) and not url.lower().startswith("data:")
    )
    return list(islice(faults, MOST_FAULTS))


def _image_fault(url: str) -> tuple[str, str | None]:
    if url.lower().startswith("www."):
        return f"{shown(url)} is no address that the service can fetch.", f"https://{url}"
    scheme = _SCHEME.match(url)
    if scheme and scheme[0].lower() in ("http:", "https:"):
        return f"{shown(url)} is not a whole web address.", None
    if scheme and scheme[0].lower() != "file:":
        return f"{shown(url)} must be an http, https or data URL.", None
    message = f"{shown(url)} is a local file, and the service documents no upload; give the image's http(s) address."
    return message, None
