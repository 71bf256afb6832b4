"""A model that is not bundled works through its schema, or unchecked where the user says so."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from batchgen.errors import UsageProblem
from batchgen.manifest import LoadOptions
from tests.manifest.helpers import inputs, problems, runs

RICH = {
    "type": "object",
    "required": ["prompt", "seed"],
    "additionalProperties": False,
    "properties": {
        "prompt": {"type": "string", "minLength": 3, "maxLength": 10},
        "seed": {"type": "integer", "minimum": 1, "maximum": 9},
        "style": {"$ref": "#/$defs/style"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
        "size": {"anyOf": [{"type": "integer"}, {"const": "auto"}]},
        "camera": {"type": "object", "required": ["pan"], "properties": {"pan": {"type": "number", "multipleOf": 5}}},
        "id": {"type": "string"},
    },
    "$defs": {"style": {"type": "string", "enum": ["film", "anime"]}},
}


def given(folder: Path, schema: object, model: str | None = None) -> LoadOptions:
    path = folder / "schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return LoadOptions(schemas=((model, path),))


@pytest.mark.parametrize("model", ["other/model", None])
def test_a_schema_file_checks_and_coerces_like_a_bundled_one(tmp_path: Path, model: str | None) -> None:
    text = "model: other/model\nruns:\n- {prompt: a cat, seed: '5', tags: a|b, size: auto, camera: {pan: 15}}\n"
    assert inputs(tmp_path, "yaml", text, given(tmp_path, RICH, model)) == [
        {"prompt": "a cat", "seed": 5, "tags": ["a", "b"], "size": "auto", "camera": {"pan": 15}}
    ]


def test_a_parameter_called_id_goes_under_input(tmp_path: Path) -> None:
    text = "- {model: m, id: mine, input: {prompt: a cat, seed: 1, id: theirs}}\n"
    (run,) = runs(tmp_path, "yaml", text, given(tmp_path, RICH))
    assert (run.id, run.input["id"]) == ("mine", "theirs")


WRONG = [
    ("prompt: x", "prompt must have at least 3 characters."),
    ("prompt: abcdefghijk", "prompt must have at most 10 characters."),
    ("seed: 0", "seed must be at least 1."),
    ("seed: 99", "seed must be at most 9."),
    ("seed: 1.5", "seed must be a whole number, not 1.5."),
    ("style: fim", "style must be one of film, anime, not fim. Did you mean film?"),
    ("tags: [a, c]", '"tags item 2" must be one of a, b, not c.'),
    ("tags: [a, b, a]", "tags must have at most 2 items."),
    ("size: large", "size must not be large: it fits no form that m takes."),
    ("camera: {pan: 7}", "camera pan must be a multiple of 5."),
    ("camera: {}", "pan is missing in camera; m requires it."),
    ("stile: film", "m takes no parameter stile. Did you mean style?"),
]


@pytest.mark.parametrize(("line", "expected"), WRONG, ids=range(len(WRONG)))
def test_any_rule_of_a_schema_is_told_in_words(tmp_path: Path, line: str, expected: str) -> None:
    run = {"prompt": "prompt: a cat", "seed": "seed: 5"} | {line.split(":")[0]: line}
    text = "- model: m\n" + "".join(f"  {part}\n" for part in run.values())
    (found,) = problems(tmp_path, "yaml", text, given(tmp_path, RICH))
    assert found.split(": ", 1)[1] == expected.replace('"', "")


def test_a_schema_given_for_a_bundled_model_takes_its_place(tmp_path: Path) -> None:
    schema = {"properties": {"prompt": {"type": "string"}, "brand_new": {"type": "boolean"}}}
    options = given(tmp_path, schema, "hailuo/pro")
    assert inputs(tmp_path, "yaml", "- {model: hailuo/pro, prompt: x, brand_new: yes}\n", options) == [
        {"prompt": "x", "brand_new": True}
    ]


def test_a_schema_for_all_others_leaves_the_bundled_ones_alone(tmp_path: Path) -> None:
    options = given(tmp_path, {"properties": {"prompt": {"type": "string"}}})
    assert problems(tmp_path, "yaml", "- {prompt: x, seed: 5}\n", options)


BROKEN = [
    "not json",
    "[]",
    '{"type": "strin"}',
    '{"properties": {"prompt": {"pattern": "("}}}',
    '{"$ref": "https://example.invalid/schema.json"}',
    '{"$ref": "#/nowhere"}',
    '{"$ref": "#"}',
    '{"type": 5}',
    '{"properties": 5}',
    '{"a": 1, "a": 2}',
]


@pytest.mark.parametrize("schema", BROKEN)
def test_a_schema_that_cannot_be_used_is_said_to_be_so_and_nothing_is_fetched(tmp_path: Path, schema: str) -> None:
    with pytest.raises(UsageProblem, match=r"schema\.json"):
        runs(tmp_path, "yaml", "- {model: m, prompt: x}\n", given(tmp_path, schema))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_reference_to_another_host_is_never_fetched(tmp_path: Path) -> None:
    """jsonschema by itself would ask the host, with no more than a warning."""
    asked: list[str] = []

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server looks for
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's own name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            schema = {"$ref": f"http://127.0.0.1:{server.server_address[1]}/schema.json"}
            with pytest.raises(UsageProblem, match=r"schema\.json cannot be used"):
                runs(tmp_path, "yaml", "- {model: m, prompt: x}\n", given(tmp_path, schema))
        finally:
            server.shutdown()
    assert asked == []


def test_a_schema_file_that_is_missing_is_a_usage_problem(tmp_path: Path) -> None:
    options = LoadOptions(schemas=((None, tmp_path / "none.json"),))
    with pytest.raises(UsageProblem, match="does not exist"):
        runs(tmp_path, "yaml", "- x\n", options)


def test_other_drafts_of_json_schema_are_understood(tmp_path: Path) -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"p": {"type": "integer"}}}
    schema |= {"properties": {"p": {"$ref": "#/definitions/p"}}}
    assert inputs(tmp_path, "yaml", "- {model: m, prompt: x, p: '5'}\n", given(tmp_path, schema)) == [
        {"prompt": "x", "p": 5}
    ]
