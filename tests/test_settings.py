"""Keys, addresses, rates, money and times as a user writes them, and no secret in any message."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.window import Rate
from batchgen.errors import UsageProblem
from batchgen.settings import (
    DEFAULT_BASE_URL,
    Key,
    Settings,
    base_url_from,
    keys_from,
    micro_usd_from,
    rate_from,
    seconds_from,
)

SECRET = "sk-very-secret"


def told(read: Callable[[], object]) -> str:
    """Everything that a person could see of the refusal."""
    with pytest.raises(UsageProblem) as caught:
        read()
    assert caught.value.exit_code == 2
    return "".join(traceback.format_exception_only(caught.value)) + f"{caught.value.hint} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("environ", "secrets"),
    [
        ({"RUNBASE_API_KEY": "sk-a"}, ["sk-a"]),
        ({"RUNBASE_API_KEY": "  sk-a\n"}, ["sk-a"]),
        ({"RUNBASE_API_KEYS": "sk-a, sk-b,,sk-a ,"}, ["sk-a", "sk-b"]),
        ({"RUNBASE_API_KEYS": "sk-a,sk-b", "RUNBASE_API_KEY": "sk-b"}, ["sk-a", "sk-b"]),
        ({"RUNBASE_API_KEYS": "sk-a", "RUNBASE_API_KEY": "sk-c"}, ["sk-a", "sk-c"]),
    ],
)
def test_keys_come_from_both_variables_each_once(environ: dict[str, str], secrets: list[str]) -> None:
    assert [key.secret for key in keys_from(environ)] == secrets


@pytest.mark.parametrize("environ", [{}, {"RUNBASE_API_KEY": " "}, {"RUNBASE_API_KEYS": ",,"}])
def test_no_key_is_said_with_what_to_do(environ: dict[str, str]) -> None:
    assert "RUNBASE_API_KEY" in told(lambda: keys_from(environ))


@pytest.mark.parametrize("text", [f"{SECRET} x", f"{SECRET}\nx", f"{SECRET}é", f"“{SECRET}”", f"{SECRET}\x00"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_without_being_shown(text: str) -> None:
    assert "secret" not in told(lambda: keys_from({"RUNBASE_API_KEY": text}))
    both = told(lambda: keys_from({"RUNBASE_API_KEYS": f"sk-good,{text}"}))
    assert "number 2" in both
    assert "secret" not in both


def test_a_key_is_shown_as_its_fingerprint_only() -> None:
    key = Key(SECRET)
    settings = Settings(DEFAULT_BASE_URL, (key,), Path("out"))
    assert "secret" not in f"{key!r} {key} {settings!r} {settings}"
    assert key.fingerprint == "sha256:e7f15906"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (DEFAULT_BASE_URL, DEFAULT_BASE_URL),
        (" https://a.example/v1/ ", "https://a.example/v1"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("http://localhost:8080/api", "http://localhost:8080/api"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("http://192.168.1.5", "http://192.168.1.5"),
        ("http://sandbox", "http://sandbox"),
        ("http://box.local", "http://box.local"),
    ],
)
def test_a_base_url_is_taken_without_its_last_slash(text: str, url: str) -> None:
    assert base_url_from(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "runbase.net",
        "ftp://a.example",
        "https://",
        "https:///v1",
        "https://a.example:port",
        "https://a.example:99999",
        "https://[::1",
        "http://a.example",
        "http://8.8.8.8",
        "https://a.exam\nple",
        "https://a example/v1",
        "https://a.example/\x00",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_base_url_is_refused(text: str) -> None:
    told(lambda: base_url_from(text))


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@a.example",
        f"https://{SECRET}@a.example",
        f"https://:{SECRET}@a.example",
        f"https://user:{SECRET}",
        f"https://user:{SECRET}@[::1",
        f"https://user:{SECRET}@a.example:port",
        f"https://user:{SECRET}@a\u2100b.example",
        f"http://user:{SECRET}@a.example",
        f"user:{SECRET}@a.example",
        f"https://a.example/v1?key={SECRET}",
        f"http://a.example/v1?key={SECRET}",
        f"https://a.example/v1#{SECRET}",
        f"ftp://a.example/?key={SECRET}",
    ],
)
def test_a_base_url_with_a_secret_in_it_is_refused_without_showing_it(text: str) -> None:
    assert "secret" not in told(lambda: base_url_from(text))


@given(st.text(max_size=40))
def test_any_text_is_a_base_url_or_is_refused_politely(text: str) -> None:
    try:
        url = base_url_from(text)
    except UsageProblem:
        return
    assert url.startswith(("http", "HTTP"))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/10", Rate(20, 10.0)),
        (" 5 / 0.5 ", Rate(5, 0.5)),
        ("3", Rate(3, 1.0)),
        ("none", Rate(None, 1.0)),
        ("OFF", Rate(None, 1.0)),
    ],
)
def test_a_rate(text: str, rate: Rate) -> None:
    assert rate_from(text) == rate


@pytest.mark.parametrize(
    "text", ["", "/", "x/10", "20/x", "20/0", "0/10", "-1/10", "20/-1", "20/nan", "20/inf", "1.5/10", "20/10/5", "20/"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    told(lambda: rate_from(text))


@pytest.mark.parametrize(
    ("text", "micro"),
    [("12.50", 12_500_000), ("$12.50", 12_500_000), (" 0.04 ", 40_000), ("0", 0), ("$ 5", 5_000_000), ("1e3", 10**9)],
)
def test_dollars_are_exact_micro_dollars(text: str, micro: int) -> None:
    assert micro_usd_from(text) == micro


@pytest.mark.parametrize(
    "text", ["", "$", "x", "-1", "-0.5", "nan", "sNaN", "inf", "1,50", "12.50 USD", "1e400", "1e999999999", "0.0000001"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    told(lambda: micro_usd_from(text))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("30m", 1800.0), ("1.5H", 5400.0), (" 2 h ", 7200.0)]
)
def test_a_time(text: str, seconds: float) -> None:
    assert seconds_from(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "-1", "nan", "inf", "1d", "m30", "1e10", "90sec"])
def test_what_is_no_time_is_refused(text: str) -> None:
    told(lambda: seconds_from(text))
