from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.report.words import (
    cells,
    clean,
    columns,
    counted,
    cut,
    cut_middle,
    duration,
    packed,
    size,
    terminal_width,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (7.6, "8 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3000, "50 min"),
        (4680, "1 h 18 min"),
        (7200, "2 h"),
        (180_000, "2 days 2 h"),
        (-3, "0 s"),
        (math.inf, "for good"),
    ],
)
def test_a_time_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (812, "812 B"), (999_999, "1.0 MB"), (78_800, "78.8 kB"), (819_200, "819 kB"), (8e12, "8.0 TB")],
)
def test_a_number_of_bytes(number: int, text: str) -> None:
    assert size(int(number)) == text


def test_one_run_and_many() -> None:
    assert counted(1, "run") == "1 run"
    assert counted(1204, "run") == "1,204 runs"
    assert counted(2, "row has", "rows have") == "2 rows have"


def test_text_from_outside_cannot_move_the_cursor_or_reorder_a_line() -> None:
    assert clean("a\r\nb\x1b[31m\u202ec\u2028d") == "a b\\x1b[31m\\x202ec d"


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_cut_text_fits(text: str, width: int) -> None:
    assert cells(cut(text, width)) <= max(width, cells(text) if cells(text) <= width else 0)
    assert cells(cut_middle(text, width)) <= width


def test_a_long_id_keeps_the_hash_that_tells_it_apart() -> None:
    assert cut_middle("a-very-long-slug-of-a-prompt-3fa9c2", 20) == "a-very-lon…pt-3fa9c2"


def test_wide_characters_count_twice_and_combining_marks_not_at_all() -> None:
    assert cells("猫-1") == 4
    assert cells("e\u0301") == 1


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), min_size=1, max_size=5))
def test_columns_stay_within_the_width_and_start_at_the_same_place(rows: list[tuple[str, str]]) -> None:
    clear = [(clean(a) or "-", "|" + clean(b)) for a, b in rows]
    lines = columns(clear, 40)
    assert all(cells(line) <= 40 for line in lines)
    assert len({cells(line[: line.index("  |")]) for line in columns([("猫", "|x"), ("abcd", "|y")], 40)}) == 1


def test_parts_are_packed_on_as_few_lines_as_they_fit_on() -> None:
    assert packed(["aa", "bb", "cc"], 7, " · ") == ["aa · bb", "cc"]
    assert packed(["too long for it"], 4, " · ") == ["too long for it"]


def test_output_that_is_no_terminal_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("shutil.os.get_terminal_size", _no_terminal)
    assert terminal_width() >= 1000
    monkeypatch.setenv("COLUMNS", "66")
    assert terminal_width() == 66


def _no_terminal(_fd: int = 0) -> object:
    raise OSError(25, "not a terminal")
