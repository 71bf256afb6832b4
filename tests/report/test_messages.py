from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from batchgen.records import Failure
from batchgen.report.messages import ADVICE, advice, hold_words

DOCUMENTED = [
    "invalid_json",
    "missing_model",
    "missing_input",
    "invalid_input",
    "model_not_found",
    "missing_api_key",
    "invalid_api_key",
    "insufficient_balance",
    "ip_not_allowed",
    "api_key_spend_limit_exceeded",
    "run_not_found",
    "RATE_LIMITED",
    "USAGE_EXCEEDED",
]


@pytest.mark.parametrize("code", DOCUMENTED)
def test_every_documented_code_has_advice_of_its_own(code: str) -> None:
    assert code.lower() in ADVICE
    assert advice(code) == ADVICE[code.lower()]


def test_every_code_that_this_program_gives_has_advice_of_its_own() -> None:
    package = Path(__file__).parents[2] / "batchgen"
    sources = [file for part in ("core", "engine", "store") for file in (package / part).glob("*.py")]
    given = {code for file in sources for code in re.findall(r'Failure\(\s*"([a-z_0-9]+)"', file.read_text("utf-8"))}
    assert {"no_id", "in_doubt", "max_cost"} <= given
    assert given <= ADVICE.keys()


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("http_402", "Top up"),
        ("http_422", "row"),
        ("http_429", "rate-limit"),
        ("http_503", "later"),
        ("odd", "support"),
    ],
)
def test_codes_that_nobody_documented_have_advice_too(code: str, word: str) -> None:
    assert word in advice(code)


@pytest.mark.parametrize(
    ("what", "reason", "seconds", "text"),
    [
        ("requests", Failure("RATE_LIMITED", "Rate limit exceeded"), 6.0, "rate limited, 6 s"),
        (
            "requests",
            Failure("not_sent", "no connection: [Errno 111] Connection refused"),
            8.0,
            "cannot reach the service (no connection: Connection refused), next try in 8 s",
        ),
        (
            "submissions with key sha256:1f0c",
            Failure("insufficient_balance", "x"),
            math.inf,
            "no more submissions with key sha256:1f0c: no balance left",
        ),
        (
            "submissions",
            Failure("in_doubt", "too many"),
            30.0,
            "submissions held back: too many submissions in doubt, 30 s",
        ),
        ("requests", Failure("odd", "Some\x1bthing."), 1.0, "Some\\x1bthing, 1 s"),
    ],
)
def test_a_pause_in_words(what: str, reason: Failure, seconds: float, text: str) -> None:
    assert hold_words(what, reason, seconds) == text
