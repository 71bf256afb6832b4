from __future__ import annotations

import io
import json
import sys

from batchgen.report.stream import SafeStream, encodable, showable
from tests.report.samples import Terminal


def test_punctuation_is_made_plainer_and_the_rest_is_spelled_out() -> None:
    assert encodable("“a” → b · 猫…", "ascii") == '"a" -> b | \\u732b...'
    assert encodable("“a” → 猫…", "utf-8") == "“a” → 猫…"


def test_half_a_character_is_spelled_out_even_in_utf_8() -> None:
    assert encodable("a\udc80", "utf-8") == "a\\udc80"


def test_an_encoding_that_nobody_knows_is_taken_as_ascii() -> None:
    assert encodable("é…", "no-such-encoding") == "\\xe9..."


def test_a_stream_without_an_encoding_takes_anything() -> None:
    assert showable("猫", io.StringIO()) == "猫"


def test_what_a_stream_cannot_encode_is_written_all_the_same() -> None:
    raw = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.line("猫 → …")
    assert raw.getvalue() == b"\\u732b -> ...\n"


def test_a_terminal_that_has_gone_raises_nothing() -> None:
    stream = SafeStream(Terminal(fails=True))
    stream.line("lost")
    closed = Terminal()
    closed.close()
    SafeStream(closed).line("lost")
    assert SafeStream(closed).encoding == "utf-8"


def test_what_a_terminal_would_obey_is_spelled_out_in_text_and_means_the_same_in_json() -> None:
    """ESC and its one-byte form, the bell, a return to the line's start, and marks that turn a line around."""
    hostile = "a\x1b[31m\x9b2J\x07\r\u202e\u2066b\x7f"
    for text in (hostile, json.dumps({"id": hostile}, ensure_ascii=False)):
        shown = showable(text, sys.stdout)
        assert all(char.isprintable() for char in shown)
    assert json.loads(shown) == {"id": hostile}
    assert showable("two\nlines\tand a tab", sys.stdout) == "two\nlines\tand a tab"
