"""Fonts are found by the characters that they cover."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ImageFont

from batchgen.sandbox.fontcover import read_coverage
from batchgen.sandbox.fonts import BUILT_IN, Face, FontBook, installed_fonts, load_font

FONTS = installed_fonts()
needs_a_font = pytest.mark.skipif(not FONTS, reason="no font is installed here")


@needs_a_font
@pytest.mark.parametrize("path", FONTS[:40], ids=lambda path: path.name)
def test_coverage_agrees_with_what_the_font_draws(path: Path) -> None:
    coverage = read_coverage(path)
    assert coverage is not None
    assert list(coverage.starts) == sorted(coverage.starts)
    if coverage.colour:
        return
    font = ImageFont.truetype(path, 24)
    missing = bytes(font.getmask("\U0010fffe"))
    for char in "Aé東ع":
        drawn = bytes(font.getmask(char))
        assert (char in coverage) == (drawn != missing), char


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 40, b"ttcf" + b"\xff" * 12, b"\x00\x01\x00\x00\xff\xff" + b"\x00" * 99]
)
def test_a_file_that_is_no_font_covers_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.ttf").write_bytes(content)
    assert read_coverage(tmp_path / "bad.ttf") is None
    assert FontBook([tmp_path / "bad.ttf", tmp_path / "gone.ttf"]).face_for("a") is None


@needs_a_font
def test_a_plain_upright_font_is_preferred(tmp_path: Path) -> None:
    latin = FontBook(FONTS).face_for("a")
    assert latin is not None
    assert latin.path is not None
    ranked = ["Foo-Regular.ttf", "Foo.ttf", "Foo-Bold.ttf", "LastResort.ttf"]
    for name in ranked:
        (tmp_path / name).write_bytes(latin.path.read_bytes())
    for first in range(len(ranked)):
        book = FontBook(tmp_path / name for name in reversed(ranked[first:]))
        assert book.face_for("a") == Face(tmp_path / ranked[first])


@needs_a_font
def test_a_character_that_no_font_has_gets_none() -> None:
    assert FontBook(FONTS).face_for("\U0010fffe") is None


def test_the_built_in_font_comes_in_any_size() -> None:
    for size in (10, 80):
        font, scale = load_font(BUILT_IN, size)
        assert font.getlength("word") > 0
        assert scale == 1.0


def test_a_font_file_that_has_gone_is_replaced_by_the_built_in_one(tmp_path: Path) -> None:
    assert load_font(Face(tmp_path / "gone.ttf"), 20)[0].getlength("word") > 0


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_folders_of_every_system_can_be_searched(tmp_path: Path, platform: str) -> None:
    home = {"linux": ".fonts", "darwin": "Library/Fonts", "win32": "Microsoft/Windows/Fonts"}
    folder = tmp_path / home[platform]
    folder.mkdir(parents=True)
    (folder / "own.TTF").write_bytes(b"")
    (folder / "read.me").write_bytes(b"")
    found = installed_fonts(platform, {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "WINDIR": str(tmp_path)})
    assert folder / "own.TTF" in found
    assert folder / "read.me" not in found
