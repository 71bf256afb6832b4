"""Text is broken, ordered and cut as its script wants."""

from __future__ import annotations

import pytest

from batchgen.sandbox.fonts import BUILT_IN, FontBook, installed_fonts
from batchgen.sandbox.typeset import LINE_HEIGHT, Run, Typesetter, directions, is_rtl, pieces, visual_order


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a slow pan", ["a ", "slow ", "pan"]),
        ("夕暮れの、東京", ["夕", "暮", "れ", "の、", "東", "京"]),
        ("「東」 cat", ["「東」 ", "cat"]),
        ("猫cat猫", ["猫", "cat", "猫"]),
        ("e\u0301a", ["e\u0301a"]),
        ("", []),
    ],
)
def test_lines_may_break_between_words_and_wide_characters(text: str, wanted: list[str]) -> None:
    assert pieces(text) == wanted
    assert "".join(pieces(text)) == text


def test_emoji_sequences_are_never_torn() -> None:
    assert pieces("👩🏽‍🚀☕️") == ["👩🏽‍🚀", "☕️"]


def test_the_first_strong_character_gives_the_direction() -> None:
    assert [is_rtl(text) for text in ("a ع", "ع a", "12 (ع)", "")] == [False, True, True, False]


def test_neutral_characters_follow_their_neighbours_or_the_line() -> None:
    assert directions("ع (a) ع", rtl=True) == [True, True, True, False, True, True, True]
    assert directions("a ع ع b", rtl=False) == [False, False, True, True, True, False, False]


@pytest.mark.parametrize(("rtl", "wanted"), [(False, "a21b"), (True, "b21a")])
def test_runs_against_the_line_keep_their_own_order(rtl: bool, wanted: str) -> None:
    runs = [Run(text, BUILT_IN, kind) for text, kind in (("a", rtl), ("1", not rtl), ("2", not rtl), ("b", rtl))]
    expected = wanted if not rtl else "b12a"
    assert "".join(run.text for run in visual_order(runs, rtl=rtl)) == expected


@pytest.fixture(scope="module", params=["installed", "none"])
def setter(request: pytest.FixtureRequest) -> Typesetter:
    return Typesetter(FontBook(installed_fonts() if request.param == "installed" else []))


def test_a_text_that_fits_is_as_large_as_may_be(setter: Typesetter) -> None:
    assert setter.fit("A lamp", (800, 400), 55, 11).size == 55


def test_a_longer_text_is_set_smaller(setter: Typesetter) -> None:
    setting = setter.fit("word " * 100, (800, 400), 55, 11)
    assert 11 <= setting.size < 55
    assert " ".join(setting.lines) == ("word " * 100).strip()


def test_a_text_that_never_fits_ends_with_an_ellipsis(setter: Typesetter) -> None:
    for text in ("word " * 500, "x" * 2000, "line\n" * 90):
        setting = setter.fit(text, (300, 100), 55, 11)
        assert setting.size == 11
        assert setting.lines[-1].endswith("…")
        assert len(setting.lines) * setting.size * LINE_HEIGHT <= 100


def test_no_line_is_wider_than_the_box(setter: Typesetter) -> None:
    setting = setter.fit("a longer word in between supercalifragilistic " * 9, (300, 300), 55, 11)
    for line in setting.lines:
        assert setter.width_of(line) * setting.size / 64 <= 300
