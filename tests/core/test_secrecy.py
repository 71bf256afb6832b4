"""A key is found in whatever spelling a service says it back, and nothing else is taken for it."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.secrecy import MASK, hidden, unsigned

KEY = "sk-canary/Zq7+Xw9=LmT4vB2nR8"


@pytest.mark.parametrize(
    "said",
    [
        KEY,
        quote(KEY, safe=""),
        quote_plus(KEY),
        quote(KEY, safe="").lower(),
        KEY[:12],
        KEY[-8:],
        KEY[14:] + KEY[:14],
        *(base64.b64encode(before + KEY.encode() + b":x").decode() for before in (b"", b"a", b"ab", b"user:")),
        base64.urlsafe_b64encode(b"a:" + KEY.encode()).decode(),
    ],
)
def test_a_key_is_hidden_in_every_spelling(said: str) -> None:
    shown = hidden(f"Bad key «{said}»!".encode(), KEY).decode()
    assert MASK in shown
    pieces = {KEY[at : at + 8] for at in range(len(KEY) - 7)}
    assert not any(piece in shown or piece in quote(shown) for piece in pieces)
    left = shown.partition("«")[2].partition("»")[0].replace(MASK, "")
    assert len(left) <= len(said) - 8
    assert shown.startswith("Bad key «")


@given(st.binary(max_size=200))
def test_what_holds_no_piece_of_the_key_stays_as_it_is(body: bytes) -> None:
    assert hidden(body, KEY) == body


def test_of_a_short_key_only_the_whole_is_hidden() -> None:
    assert hidden(b"a test: wrong key wro", "wrong") == b"a test: [key] key wro"
    assert hidden(b"nothing", "") == b"nothing"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://a.example/v.mp4?sig=abc&x=1#t, please", "see https://a.example/v.mp4?… please"),
        ('{"url":"HTTP://a.example/v?sig"}', '{"url":"HTTP://a.example/v?…"}'),
        ("https://a.example/v.mp4 is fine?", "https://a.example/v.mp4 is fine?"),
    ],
)
def test_a_link_is_shown_without_what_opens_it(text: str, shown: str) -> None:
    assert unsigned(text) == shown
