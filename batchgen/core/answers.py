"""What the service's answers say, read leniently: unknown fields, odd types and cut-off bodies are no errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batchgen.core.allowance import Allowance
from batchgen.core.retry_after import asked_pause_s
from batchgen.core.secrecy import unsigned
from batchgen.records import Failure

KEPT_WORDS = 500
LONGEST_ID = 256
# No run costs a million dollars: a larger number is something else, and would only overflow later sums.
HIGHEST_COST_MICRO_USD = 10**12


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as far as it came. `complete` is False where the body broke off."""

    status: int
    body: bytes = b""
    complete: bool = True
    retry_after: str | None = None
    date: str | None = None
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request surely never left: no byte of it was handed to a connection."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """The request cannot be made at all with this URL, certificate or key; trying again changes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The request was begun, and no answer's status came back."""

    reason: str


Outcome = Answer | NotSent | Unusable | Lost


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as an answer shows it; None and empty are what the answer does not say. Costs in micro-dollars.

    `id` is empty where the answer names one that can be no run's id. `whole` is False where the body broke off and only
    the fields before the break are known.
    """

    id: str | None
    status: str | None
    urls: tuple[str, ...]
    cost_micro_usd: int | None
    failure: Failure | None
    whole: bool = True
    seconds: float | None = None


def run_view(answer: Answer) -> RunView | None:
    """The run in the answer, or None where there is none. A body that broke off gives the fields before the break."""
    parsed = _object(answer.body) if answer.complete else None
    fields = whole_fields(answer.body) if parsed is None else parsed
    if not fields:
        return None
    status, cost = fields.get("status"), fields.get("costUsd")
    return RunView(
        id=_id(fields.get("id")),
        status=status if isinstance(status, str) else None,
        urls=_urls(fields.get("output")),
        cost_micro_usd=_micro_usd(cost),
        failure=_failure(fields.get("error")),
        whole=parsed is not None,
        seconds=_seconds(fields.get("createdAt"), fields.get("completedAt")),
    )


def words_of(answer: Answer) -> Failure:
    """The service's own words for an error answer: its code and message, or else the status and the body's start."""
    fields = _object(answer.body)
    failure = _failure(fields.get("error")) if fields else None
    if failure:
        return Failure(failure.code or f"http_{answer.status}", failure.message)
    text = excerpt(answer.body)
    return Failure(f"http_{answer.status}", f"HTTP {answer.status}{': ' + text if text else ''}")


def excerpt(body: bytes) -> str:
    """The start of a body as one readable line."""
    return _short(body[: 4 * KEPT_WORDS].decode("utf-8", "replace"))


def whole_fields(body: bytes) -> dict[str, Any]:
    """The top-level fields that stand whole in the start of a JSON object.

    A value at the very end that might go on (a number, or a string without its closing quote) is not whole: half an
    id is worse than none.
    """
    text = body.decode("utf-8-sig", "replace")
    decoder = json.JSONDecoder(object_pairs_hook=_said_once)
    fields: dict[str, Any] = {}
    at = _skip_space(text, 0)
    if at >= len(text) or text[at] != "{":
        return fields
    while True:
        try:
            at = _skip_space(text, at + 1)
            if text[at] != '"':
                return fields
            name, at = decoder.raw_decode(text, at)
            at = _skip_space(text, at)
            if text[at] != ":":
                return fields
            value, at = decoder.raw_decode(text, _skip_space(text, at + 1))
            after = _skip_space(text, at)
            if after >= len(text) and not isinstance(value, str | dict | list):
                return fields
            fields[name] = value if fields.get(name, value) == value else CONTRADICTED
            if after >= len(text) or text[after] != ",":
                return fields
            at = after
        except (ValueError, IndexError, RecursionError):
            return fields


def retry_after_s(answer: Answer, now_utc: datetime) -> float | None:
    """How long the answer asks to wait, in seconds from 0 to an hour; None where it does not."""
    return asked_pause_s(answer.retry_after, answer.date, now_utc)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body, object_pairs_hook=_said_once)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# What stands for a name that is given twice with two values: of two ids nobody knows which one is the run's.
CONTRADICTED = object()


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields.update({name: CONTRADICTED for name, value in pairs if fields[name] != value})
    return fields


def _urls(output: object) -> tuple[str, ...]:
    """`output.urls` is documented; a single `output.url` is what a public client reads as well."""
    if not isinstance(output, Mapping):
        return ()
    urls = output.get("urls")
    if not isinstance(urls, list):
        urls = [urls] if isinstance(urls, str) else [output.get("url")]
    return tuple(url.strip() for url in urls if isinstance(url, str) and url.strip())


def _id(value: object) -> str | None:
    """A run's id, None where there is none, and empty where there is one that could not be asked for. Half a character
    (U+FFFD, a lone surrogate) is what a broken body leaves: the rest of such an id is not the service's id either."""
    if value is None:
        return None
    sound = isinstance(value, str) and value.strip() not in ("", ".", "..") and len(value) <= LONGEST_ID
    return value if isinstance(value, str) and sound and value.isprintable() and "\ufffd" not in value else ""


def _seconds(created: object, completed: object) -> float | None:
    """The time between two times that the service names; None where they are none, or run backwards."""
    if not isinstance(created, str) or not isinstance(completed, str):
        return None
    try:
        seconds = (datetime.fromisoformat(completed) - datetime.fromisoformat(created)).total_seconds()
    except (ValueError, TypeError):  # no times; or only one of them with a time zone
        return None
    return seconds if seconds > 0 else None


def _micro_usd(cost: object) -> int | None:
    """A cost in micro-dollars; None where it is none. A fraction such as 0.04 is surely not micro-dollars, and must not
    be rounded to nothing; one behind thousands of them is how a program spells a sum."""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost <= HIGHEST_COST_MICRO_USD:
        return None
    whole = round(cost)
    return whole if abs(cost - whole) * 1000 <= cost else None


# A string that is a code and nothing else, such as USAGE_EXCEEDED.
_CODE = re.compile(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)+")


def _failure(error: object) -> Failure | None:
    """The error as a string (as in runs) or as an object with message and code (as in error answers)."""
    if isinstance(error, str) and error.strip():
        words = _short(error)
        return Failure(words if _CODE.fullmatch(words) else "", words)
    if isinstance(error, Mapping):
        code, message = error.get("code"), error.get("message")
        words = _short(message) if isinstance(message, str) and message.strip() else ""
        name = _short(code) if isinstance(code, str) else ""
        if words or name:
            return Failure(name, words or name)
    return None


def _short(text: str) -> str:
    """A text from outside as one line of readable length, without what a terminal would take for a command."""
    line = "".join(c if c.isprintable() else "�" for c in " ".join(unsigned(text).split()))
    return line if len(line) <= KEPT_WORDS else line[: KEPT_WORDS - 1] + "…"


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
