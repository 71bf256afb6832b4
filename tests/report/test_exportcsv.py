"""The CSV table: its columns and cells, and that nothing in it can become a formula."""

from __future__ import annotations

import csv
import io
import re
import time
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchgen.core.cost import Money
from batchgen.models import registry
from batchgen.records import Failure, Place, Record, SavedFile
from batchgen.report.export import Entry
from batchgen.report.exportcsv import FIRST, LAST, csv_lines, header, neutral, parameter_columns
from tests.report.samples import record
from tests.report.test_export import entry

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"
DANGEROUS = f"{SIGNS}\t\r\n\0"  # OWASP's list of what a cell must not begin with, and its look-alikes
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?")

LEADS = " \t\r\n;\"'\0\xa0\u3000\u200b\ufeff\x0b\u2028"
hostile = st.one_of(
    st.text(st.sampled_from(f"{SIGNS}{LEADS}a,|1")),
    st.text(st.characters(exclude_categories=["Cs"])),
)


def table(entries: list[Entry], parameters: list[str]) -> list[list[str]]:
    """The table as a reader of RFC 4180 has it."""
    return list(csv.reader(io.StringIO("".join(csv_lines(entries, parameters)), newline="")))


def passed_over(character: str) -> bool:
    """Whether some program may skip it before a sign: this test's own reading, not the product's table."""
    return character in "\"';" or character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Zs")


def could_start(text: str, at: int) -> bool:
    while at < len(text) and passed_over(text[at]):
        at += 1
    return at < len(text) and text[at] in SIGNS


def restored(cell: str) -> str:
    """Undoes the rule as the README says it, in the plainest way."""
    bad_start = could_start(cell, 0) or cell.lstrip("'")[:1] in tuple("\0\t\r\n")
    kept = cell[1:] if cell.startswith("'") and bad_start else cell
    out = ""
    for at, character in enumerate(kept):
        begins = at > 0 and re.match("[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029;]", kept[at - 1])
        if not (begins and character == "'" and could_start(kept, at)):
            out += character
    return out


@given(hostile)
@example("=1+1")
@example("x;=HYPERLINK(1);")
@example('x;"=1+1&";')
@example("a\n-b")
@example("'=1")
@example("\t =1")
@example("''\tx")
@example("＝1")
@example("\ufeff=1")
def test_no_text_begins_a_cell_with_a_sign_and_the_rule_can_be_undone(text: str) -> None:
    cell = neutral(text)
    assert cell[:1] not in tuple(DANGEROUS)
    assert not could_start(cell, 0) or cell.startswith("'")
    assert restored(cell) == text


@given(hostile, hostile, st.sampled_from([";", "\t"]))
@example("x", "y;=1+1;", ";")
def test_nothing_is_a_formula_to_a_program_with_another_separator_either(one: str, two: str, separator: str) -> None:
    """Such a program sees quotes only where they begin a cell of its own."""
    of = named(one, two)
    of = replace(of, input={"prompt": two, "image_urls": [two]})
    [line] = list(csv_lines([entry(of)], ["prompt", "image_urls"]))[1:]
    for cell in csv.reader(io.StringIO(line, newline=""), delimiter=separator):
        for begun in cell:
            assert begun[:1] not in tuple(SIGNS), begun
            assert begun.lstrip(' "\t')[:1] not in tuple(SIGNS), begun
    for piece in re.split(f"[{separator}\r\n]", line):  # nor to one that knows no quotes at all
        assert piece.strip('\0 "\t')[:1] not in tuple(SIGNS), piece


def named(name: str, prompt: Any) -> Record:
    return replace(record("x"), id=name, input={"prompt": prompt}, error=Failure(name, str(prompt)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(hostile, json_values, max_size=4), hostile, hostile)
def test_no_cell_of_a_table_begins_with_a_dangerous_character(inputs: dict[str, Any], name: str, path: str) -> None:
    of = Record(name, name, inputs, "0" * 64, error=Failure(path, name), times={"planned_at": path})
    line = Entry(of, Money(), (SavedFile(path, 1, name),), Place(path, 3), in_manifest=True)
    parameters = parameter_columns(inputs)
    head, row = table([line], parameters)
    for cell in (*head, *row):
        assert cell[:1] not in tuple(DANGEROUS) or NUMBER.fullmatch(cell), cell
    assert len(head) == len(row) == len({restored(cell) for cell in head})
    told = dict(zip([restored(cell) for cell in head], row, strict=True))
    columns = header(parameters)[len(FIRST) : -len(LAST)]
    for parameter, column in zip(parameters, columns, strict=True):
        if isinstance(inputs[parameter], str):
            assert restored(told[column]) == inputs[parameter]
    assert [restored(told[column]) for column in ("id", "error_code", "planned_at")] == [name, path, path]


def test_a_long_run_of_blanks_is_looked_at_once() -> None:
    """Milliseconds; looking again from each blank would take minutes, on any machine."""
    began = time.process_time()
    assert neutral("x" + "\n" * 100_000 + "x") == "x" + "\n" * 100_000 + "x"
    assert neutral("\n" * 100_000 + "x").startswith("'\n")
    assert time.process_time() - began < 5.0


def cells(of: Record, parameters: list[str], **given_: Any) -> dict[str, str]:
    head, row = table([replace(entry(of), **given_)], parameters)
    return dict(zip(head, row, strict=True))


def test_numbers_stay_numbers_and_booleans_and_lists_are_spelled_as_manifests_spell_them() -> None:
    given_ = {"seed": -5, "scale": -0.25, "text": "-5", "audio": True, "off": False, "urls": ["a", "b"], "none": None}
    told = cells(replace(record("x"), input=given_), list(given_))
    assert [told[name] for name in given_] == ["-5", "-0.25", "'-5", "true", "false", '["a","b"]', ""]
    assert told["attempts"] == "0"


def test_one_video_is_plain_and_several_are_lists() -> None:
    one, two = SavedFile("v/a-1.mp4", 5, "ab" * 32), SavedFile("v/a-2.mp4", 6, "cd" * 32)
    told = cells(record("x"), [], files=(one,))
    assert (told["files"], told["bytes"], told["sha256"]) == ("v/a-1.mp4", "5", "ab" * 32)
    told = cells(record("x"), [], files=(one, two))
    assert (told["files"], told["bytes"]) == ('["v/a-1.mp4","v/a-2.mp4"]', "[5,6]")
    assert cells(record("x"), [], files=(replace(one, path="[v].mp4"),))["files"] == '["[v].mp4"]'
    assert cells(record("x"), [])["files"] == ""


def test_what_is_unknown_is_empty() -> None:
    told = cells(record("x"), ["prompt"])
    assert [told[name] for name in ("cost_usd", "run_id", "place", "in_manifest", "error_code", "latency_seconds")] == [
        ""
    ] * 6


def test_parameters_stand_in_the_same_order_whatever_the_data() -> None:
    every = {
        name for model in map(registry.get, registry.model_ids()) if model for name in model.input_schema["properties"]
    }
    order = parameter_columns(every)
    assert set(order) == every
    assert order[0] == "prompt"
    assert all(
        parameter_columns({one, two}) == sorted((one, two), key=order.index) for one in every for two in every - {one}
    )
    assert parameter_columns(["zoom", "mode", "prompt", "Art", "duration"]) == [
        "prompt",
        "duration",
        "mode",
        "Art",
        "zoom",
    ]


def test_a_parameter_called_like_a_column_of_ours_gets_another_name() -> None:
    names = header(["prompt", "status", "input.status"])
    assert names[3:6] == ["prompt", "input.status", "input.input.status"]


@pytest.mark.parametrize("text", ["plain", 'a "quoted" one', "a, b", "two\nlines", "two\r\nlines", " padded "])
def test_ordinary_text_comes_back_as_it_is_and_lines_end_as_the_standard_says(text: str) -> None:
    lines = list(csv_lines([entry(named("x", text))], ["prompt"]))
    assert all(line.endswith("\r\n") for line in lines)
    assert table([entry(named("x", text))], ["prompt"])[1][3] == text
