"""Draws the still picture of a shot: its prompt, legible, on a calm ground or on its first image."""

from __future__ import annotations

import colorsys
import hashlib
import io
import warnings

from PIL import Image, ImageDraw, ImageOps

from batchgen.sandbox.fonts import FontBook
from batchgen.sandbox.shot import Shot
from batchgen.sandbox.typeset import LINE_HEIGHT, MEASURE_SIZE, Colour, Line, Typesetter, is_rtl

TITLE = "REHEARSAL"  # so that no such video passes for a real one
WHITE, GREY, SHADOW = (245, 245, 248), (202, 206, 216), (12, 12, 18)
MAX_PROMPT_CHARACTERS = 2500  # hosts cut off near 2,000 (runbase-api.md); more would not be legible
MAX_IMAGE_PIXELS = 60_000_000
IMAGE_DIMMING = 0.52


def draw_card(shot: Shot, book: FontBook, image: bytes | None) -> Image.Image:
    """The card in the shot's size. `image` is an image file for the ground; one that cannot be read is left out."""
    size = shot.width, shot.height
    card = _photo_ground(image, size) if image else None
    if card is None:
        card = _gradient_ground(shot.prompt, size)
    margin = min(size) // 14
    small = max(11, min(size) // 36)
    setter = Typesetter(book)
    _draw_prompt(card, setter, shot.prompt, margin, small)
    corner = setter.fit(shot.label, (shot.width - 2 * margin, round(small * 1.4)), small, max(8, small // 2))
    setter.draw(card, Line(corner.lines[0], margin, shot.height - margin), corner.size, GREY)
    setter.draw(card, Line(TITLE, margin, margin + small // 2), small, accent(shot.prompt))
    return card


def accent(prompt: str) -> Colour:
    """A light colour of the prompt's own hue."""
    return _hls(_hue(prompt), 0.76, 0.62)


def _draw_prompt(card: Image.Image, setter: Typesetter, prompt: str, margin: int, small: int) -> None:
    """The prompt, from the side where its script begins, centred in height between the title and the corner."""
    width = card.width - 2 * margin
    top, bottom = margin + round(small * 1.4), card.height - margin - round(small * 2.2)
    shortest = min(card.size)
    text = " ".join(prompt.split(" "))[:MAX_PROMPT_CHARACTERS].strip() or "(no prompt)"
    setting = setter.fit(text, (width, bottom - top), largest=shortest // 9, smallest=max(10, shortest // 44))
    step = round(setting.size * LINE_HEIGHT)
    first = (top + bottom) / 2 - step * len(setting.lines) / 2 + setting.size * 1.02
    shadow = max(1, setting.size // 24)
    rtl = is_rtl(text)
    for number, line in enumerate(setting.lines):
        spare = width - setter.width_of(line) * setting.size / MEASURE_SIZE
        x, baseline = margin + (max(0.0, spare) if rtl else 0.0), round(first + number * step)
        setter.draw(card, Line(line, x + shadow, baseline + shadow, rtl), setting.size, SHADOW)
        setter.draw(card, Line(line, x, baseline, rtl), setting.size, WHITE)


def _gradient_ground(prompt: str, size: tuple[int, int]) -> Image.Image:
    """A dark gradient between two neighbouring hues, drawn tiny and enlarged smoothly."""
    hue = _hue(prompt)
    corners = [_hls(hue, 0.22, 0.45), _hls(hue + 0.05, 0.30, 0.42), _hls(hue + 0.08, 0.13, 0.40), _hls(hue, 0.18, 0.45)]
    tiny = Image.new("RGB", (2, 2))
    tiny.putdata(corners)
    return tiny.resize(size, Image.Resampling.BICUBIC, box=(0.25, 0.25, 1.75, 1.75))


def _photo_ground(content: bytes, size: tuple[int, int]) -> Image.Image | None:
    """The image, cut to the shape and dimmed so that white text is legible on it; `None` if it is no image."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")  # what Pillow warns of is bounded here
            if image.width * image.height > MAX_IMAGE_PIXELS:
                return None
            image.draft("RGB", size)
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # a decoder may raise anything on a stranger's bytes, and a rehearsal goes on without the image
        return None
    fitted = ImageOps.fit(upright, size)
    return Image.blend(fitted, Image.new("RGB", size, (10, 10, 16)), IMAGE_DIMMING)


def _hue(prompt: str) -> float:
    return hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[0] / 256


def _hls(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_track(card: Image.Image, top: int, height: int) -> None:
    """The dark track on which the light moves."""
    ImageDraw.Draw(card).rectangle((0, top, card.width, top + height - 1), fill=(14, 14, 20))
