"""CSV and TSV, as spreadsheets and databases write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.manifest import LoadOptions
from batchgen.records import Place
from tests.manifest.helpers import inputs, loaded, problems, runs

TRUTHS = [("true", True), ("FALSE", False), ("Yes", True), ("no", False), ("1", True), ("0", False)]


@pytest.mark.parametrize(("cell", "value"), TRUTHS)
def test_booleans_are_written_in_every_usual_way(tmp_path: Path, cell: str, value: bool) -> None:
    assert inputs(tmp_path, "csv", f"prompt,generate_audio\nx,{cell}\n") == [{"prompt": "x", "generate_audio": value}]


@pytest.mark.parametrize(
    "cell", ['"[""https://a.example/1"", ""https://a.example/2""]"', "https://a.example/1 | https://a.example/2|"]
)
def test_lists_are_json_or_between_bars(tmp_path: Path, cell: str) -> None:
    (found,) = inputs(tmp_path, "csv", f"prompt,image_urls\nx,{cell}\n")
    assert found["image_urls"] == ["https://a.example/1", "https://a.example/2"]


def test_an_empty_cell_is_absent_and_an_empty_row_is_none(tmp_path: Path) -> None:
    text = "id,prompt,duration,resolution\n,x,, \n,,,\n\n,y,4\n"
    assert inputs(tmp_path, "csv", text) == [{"prompt": "x"}, {"prompt": "y", "duration": "4"}]


def test_numbers_as_a_spreadsheet_spells_them_are_the_same_numbers(tmp_path: Path) -> None:
    text = "prompt,duration\nx,8.0\nx, 8\nx,8\n"
    assert inputs(tmp_path, "csv", text) == [{"prompt": "x", "duration": "8"}] * 3


def test_a_column_may_name_the_model_and_the_id(tmp_path: Path) -> None:
    text = "id,model,prompt,mode\na,kling/kling-3.0,x,4K\nb,,y,\n"
    first, second = runs(tmp_path, "csv", text)
    assert (first.id, first.model, first.input) == ("a", "kling/kling-3.0", {"prompt": "x", "mode": "4K"})
    assert (second.id, second.model, second.input) == ("b", "bytedance/seedance-1.5-pro", {"prompt": "y"})


def test_a_parameter_that_only_another_rows_model_takes_is_a_problem_of_its_row(tmp_path: Path) -> None:
    text = "model,prompt,mode\nkling/kling-3.0,x,4K\n,y,pro\n"
    assert problems(tmp_path, "csv", text) == ["3:mode: bytedance/seedance-1.5-pro takes no parameter mode."]


def test_a_place_is_the_line_on_which_the_row_starts(tmp_path: Path) -> None:
    found = runs(tmp_path, "csv", 'prompt\n"two\nlines"\nx\n')
    assert [run.place for run in found] == [Place(f"{tmp_path}/batch.csv", 2), Place(f"{tmp_path}/batch.csv", 4)]
    assert problems(tmp_path, "csv", 'prompt,duration\n"two\nlines",4\nx,5\n')[0].startswith("4:duration: ")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_breaks_of_any_system_change_nothing(
    tmp_path: Path, mark: bytes, line_break: str
) -> None:
    text = 'prompt,duration\n"two\nlines",4\n'.replace("\n", line_break)
    assert inputs(tmp_path, "csv", mark + text.encode()) == [{"prompt": "two\nlines", "duration": "4"}]


@pytest.mark.parametrize(
    "text", ["prompt;duration\na, b;8\n", "sep=;\nprompt;duration\na, b;8\n", "prompt\tduration\na, b\t8\n"]
)
def test_the_header_shows_what_separates_the_cells(tmp_path: Path, text: str) -> None:
    """Excel writes semicolons where the comma is the decimal sign, and calls the file CSV all the same."""
    assert inputs(tmp_path, "csv", text) == [{"prompt": "a, b", "duration": "8"}]


def test_a_space_after_a_comma_does_not_break_quotes(tmp_path: Path) -> None:
    assert inputs(tmp_path, "csv", 'prompt, duration\n"a, b", "8"\n') == [{"prompt": "a, b", "duration": "8"}]


QUOTED = [
    ('"a ""big"" cat"\t8', 'a "big" cat'),
    ('"two\nlines"\t8', "two\nlines"),
    ('"Hello" she says\t8', '"Hello" she says'),
    ('12" record\t8', '12" record'),
    ('"open, never closed\t8', '"open, never closed'),
]


@pytest.mark.parametrize(("row", "prompt"), QUOTED)
def test_quotes_in_tsv_are_syntax_only_where_that_makes_sense(tmp_path: Path, row: str, prompt: str) -> None:
    assert inputs(tmp_path, "tsv", f"prompt\tduration\n{row}\n") == [{"prompt": prompt, "duration": "8"}]


def test_a_quote_that_opens_in_one_tsv_row_and_closes_in_another_is_text(tmp_path: Path) -> None:
    text = 'prompt\tduration\n"open\t8\nclosed"\t4\n'
    assert [found["prompt"] for found in inputs(tmp_path, "tsv", text)] == ['"open', 'closed"']


def test_trailing_empty_columns_and_cells_are_no_problem(tmp_path: Path) -> None:
    assert inputs(tmp_path, "csv", "prompt,duration,,\nx,4,,\ny,8,,,,\n") == [
        {"prompt": "x", "duration": "4"},
        {"prompt": "y", "duration": "8"},
    ]


def test_unchecked_cells_stay_text(tmp_path: Path) -> None:
    text = "model,prompt,seed\nother/model,x,5\n"
    assert inputs(tmp_path, "csv", text, LoadOptions(unvalidated=True)) == [{"prompt": "x", "seed": "5"}]


def test_a_huge_cell_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "csv", 'prompt\n"' + "x\n" * 100_000)
    assert found.startswith("2:1: a cell is longer than")


def test_rows_before_a_broken_one_are_still_checked(tmp_path: Path) -> None:
    found = problems(tmp_path, "csv", 'prompt,duration\nx,5\n"y"z,4\n')
    assert [problem.split(" ")[0] for problem in found] == ["2:duration:", "3:1:"]


def test_an_empty_table_has_nothing_to_render(tmp_path: Path) -> None:
    for text in ("", "\n\n", "prompt,duration\n", "prompt\n\n"):
        assert problems(tmp_path, "csv", text) == ["1:1: the manifest holds no runs, so there is nothing to render."]


def test_a_table_has_no_settings_of_its_own(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, "csv", "prompt\nx\n")
    assert (manifest.settings, manifest.output_dir) == ({}, None)
