"""Coercion loses and invents nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.coerce import NO, converter, resolved, to_number
from batchgen.manifest.shapes import Plain

DURATION = {"type": "string", "enum": ["4", "8", "12"]}
LOSSLESS: list[tuple[dict[str, Any], object, object]] = [
    (DURATION, 8, "8"),
    (DURATION, 8.0, "8"),
    (DURATION, " 8 ", "8"),
    (DURATION, "8.00", "8"),
    (DURATION, Plain("08"), "8"),
    ({"type": "string"}, True, "true"),
    ({"type": "string"}, Plain("null"), "null"),
    ({"type": "number"}, "1.50", 1.5),
    ({"type": "number"}, "5.0", 5),
    ({"type": "integer"}, "5.0", 5),
    ({"type": "integer"}, Plain("-3"), -3),
    ({"type": "boolean"}, "No", False),
    ({"type": "boolean"}, 1, True),
    ({"type": "array", "items": {"type": "string"}}, "a|b", ["a", "b"]),
    ({"type": "array", "items": {"type": "string"}}, [1, "b"], ["1", "b"]),
    ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
    ({"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": "3"}, {"n": 3}),
    ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": "3"}', {"n": 3}),
    ({"type": ["integer", "string"]}, Plain("7"), 7),
    ({"type": ["integer", "string"]}, "7", "7"),
    ({"type": ["integer", "string"]}, Plain("seven"), "seven"),
    ({"anyOf": [{"type": "integer"}, {"enum": ["auto"]}]}, "7", 7),
    ({"anyOf": [{"type": "integer"}, {"enum": ["auto"]}]}, "auto", "auto"),
    ({"type": ["string", "null"]}, Plain("~"), None),
    ({"const": 5}, "5", 5),
    ({}, Plain("5"), 5),
    ({}, "5", "5"),
    ({"$ref": "#/$defs/n"}, "5", 5),
]
ROOT = {
    "$defs": {"n": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}, "deep": {"items": {"$ref": "#/$defs/deep"}}}
}


@pytest.mark.parametrize(("schema", "written", "value"), LOSSLESS, ids=range(len(LOSSLESS)))
def test_what_means_the_same_is_coerced(schema: dict[str, Any], written: object, value: object) -> None:
    found = converter(schema, ROOT)(written)
    assert found == value
    assert type(found) is type(value)


LOSSY: list[tuple[dict[str, Any], object]] = [
    ({"type": "number"}, "5s"),
    ({"type": "number"}, "1,5"),
    ({"type": "number"}, "1_000"),
    ({"type": "number"}, "٣"),
    ({"type": "number"}, "1e999"),
    ({"type": "number"}, "9" * 65),
    ({"type": "number"}, True),
    ({"type": "integer"}, "5.5"),
    ({"type": "boolean"}, "maybe"),
    ({"type": "boolean"}, 2),
    ({"type": "string"}, ["a"]),
    ({"type": "array"}, 5),
    ({"type": "object"}, "{broken"),
]


@pytest.mark.parametrize(("schema", "written"), LOSSY, ids=range(len(LOSSY)))
def test_what_would_be_a_guess_is_not_coerced(schema: dict[str, Any], written: object) -> None:
    assert converter(schema, ROOT)(written) is NO


def test_case_is_not_changed_to_fit_a_choice() -> None:
    assert converter({"type": "string", "enum": ["1080p"]}, {})("1080P") == "1080P"


@pytest.mark.parametrize("name", ["loop", "deep", "missing"])
def test_a_schema_that_leads_nowhere_or_in_circles_ends(name: str) -> None:
    assert converter({"$ref": f"#/$defs/{name}"}, ROOT)(["x"]) == ["x"]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_every_number_survives_its_own_spelling(number: float) -> None:
    spelled = str(number)
    if len(spelled) <= 64:
        assert to_number(spelled) == number


@given(st.recursive(st.text().map(Plain), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_resolving_leaves_no_plain_scalar_behind(value: object) -> None:
    def holds_plain(item: object) -> bool:
        if isinstance(item, list):
            return any(map(holds_plain, item))
        return any(map(holds_plain, item.values())) if isinstance(item, dict) else isinstance(item, Plain)

    assert not holds_plain(resolved(value))
