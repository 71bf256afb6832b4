"""JSON Lines, and plain text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchgen.records import Place
from tests.manifest.helpers import inputs, problems, runs


def test_text_has_a_prompt_on_every_line_that_is_not_blank(tmp_path: Path) -> None:
    found = runs(tmp_path, "txt", "# a hash begins a prompt\r\n\r\n  two  \n")
    assert [run.input for run in found] == [{"prompt": "# a hash begins a prompt"}, {"prompt": "two"}]
    assert [run.place.line for run in found] == [1, 3]


@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "JSONL"])
def test_json_lines_hold_objects_or_prompts(tmp_path: Path, kind: str) -> None:
    text = '{"id": 7, "prompt": "a", "duration": 8, "generate_audio": false}\n\n"b"\n{"input": {"prompt": "c"}}\n'
    found = runs(tmp_path, kind, text)
    assert [dict(run.input) for run in found] == [
        {"prompt": "a", "duration": "8", "generate_audio": False},
        {"prompt": "b"},
        {"prompt": "c"},
    ]
    assert found[0].id == "7"
    assert found[2].place == Place(f"{tmp_path}/batch.{kind}", 4)


def test_null_is_absent_and_numbers_become_text_where_text_is_wanted(tmp_path: Path) -> None:
    text = '{"prompt": 2024, "duration": 8.0, "resolution": null}\n'
    assert inputs(tmp_path, "jsonl", text) == [{"prompt": "2024", "duration": "8"}]


BROKEN = [
    ('{"prompt": NaN}', "1:1: NaN is not a number that JSON knows."),
    ('{"prompt": 1e999}', "1:1: 1e999 is too large a number."),
    ('{"prompt": ' + "9" * 5000 + "}", "1:1: this holds a number with too many digits."),
    ('{"p": ' + "[" * 100_000, "1:1: lists and mappings are nested more than 50 deep."),
    ('{"p": ' + "[" * 60 + "]" * 60 + "}", "1:1: lists and mappings are nested more than 50 deep."),
    ('{"prompt": "\\u0000"}', "1:1: text cannot hold the character U+0000."),
    ('{"prompt": "a", "input": {"prompt": "b"}}', "1:1: prompt is given twice: beside input and in it."),
    ('{"input": "a"}', "1:1: input must be an object of parameters."),
    ("17", "1:1: a run is a JSON object, or a string, which is its prompt."),
    ("{", "1:1: each line of a JSON Lines file is one whole run; write the object on one line."),
]


@pytest.mark.parametrize(("line", "expected"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_one_problem(tmp_path: Path, line: str, expected: str) -> None:
    (found,) = problems(tmp_path, "jsonl", line)
    assert found.split(":")[0] == "1"
    assert found.split(": ", 1)[1] == expected.split(": ", 1)[1]


def test_a_line_that_is_no_json_is_told_in_the_words_of_the_parser(tmp_path: Path) -> None:
    """Python 3.13 has other words for it than 3.11."""
    (found,) = problems(tmp_path, "jsonl", '{"prompt": "a",}')
    assert re.fullmatch(r"1:1\d: this is not JSON: .+\.", found)


def test_every_broken_line_is_told(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "jsonl", '{bad\n{"prompt": "a"}\n{bad\n')) == 2
