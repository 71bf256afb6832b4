"""Prompts stand legibly on the card, whatever they are."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops

from batchgen.sandbox.card import accent, draw_card
from batchgen.sandbox.fonts import FontBook, installed_fonts
from batchgen.sandbox.shot import Shot

SIZE = (864, 496)


@pytest.fixture(scope="module")
def book() -> FontBook:
    return FontBook(installed_fonts())


def shot(prompt: str, size: tuple[int, int] = SIZE) -> Shot:
    return Shot(prompt, *size, seconds=4, sound=False, label="model · 16:9")


def ink(card: Image.Image) -> tuple[int, int, int, int]:
    """The box around all that is almost white."""
    box = card.convert("L").point(lambda value: 255 * (value > 225)).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize(
    "prompt",
    [
        "A lamp",
        "word " * 400,
        "x" * 3000,
        "夕暮れの東京、雨に濡れた路地を歩く猫。" * 20,
        "لقطة بطيئة لمدينة قديمة (4K) at dusk",
        "🐈‍⬛🌧️👩🏽‍🚀🇯🇵 emoji",
        "one\ntwo\r\n\nthree\t.",
        "\ud800 \x00 \u202e",
        "",
    ],
)
@pytest.mark.parametrize("size", [SIZE, (496, 864), (2206, 946)])
def test_any_prompt_stays_within_the_margins(book: FontBook, prompt: str, size: tuple[int, int]) -> None:
    left, top, right, bottom = ink(draw_card(shot(prompt, size), book, None))
    margin = min(size) // 14 // 2
    assert left >= margin
    assert top >= margin
    assert right <= size[0] - margin
    assert bottom <= size[1] - margin


@pytest.mark.parametrize(("short", "long"), [("i", "iii iii"), ("夕", "夕暮れ"), ("ع", "عند الغروب")])
def test_what_is_drawn_is_the_prompt(book: FontBook, short: str, long: str) -> None:
    widths = [right - left for left, _, right, _ in (ink(draw_card(shot(text), book, None)) for text in (short, long))]
    assert widths[0] * 2 < widths[1]


def test_a_machine_without_fonts_still_has_a_card() -> None:
    with_text = draw_card(shot("A lamp é 夕"), FontBook([]), None)
    assert ink(with_text)[2] > 0


def test_different_prompts_make_different_cards(book: FontBook) -> None:
    cards = [draw_card(shot(prompt), book, None) for prompt in ("夕暮", "東京")]
    assert ImageChops.difference(*cards).getbbox() is not None
    assert accent("夕暮") != accent("東京")


def test_an_image_becomes_the_ground_and_rubbish_does_not(book: FontBook) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 90), (250, 20, 20)).save(buffer, "PNG")
    red, green, blue = draw_card(shot("A lamp"), book, buffer.getvalue()).getpixel((5, 5))  # type: ignore[misc]
    assert red > 5 * max(green, blue)
    plain = draw_card(shot("A lamp"), book, None)
    for rubbish in (b"", b"GIF89a", b"<html>", buffer.getvalue()[:60]):
        assert ImageChops.difference(draw_card(shot("A lamp"), book, rubbish), plain).getbbox() is None
