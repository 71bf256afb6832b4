"""What to do about each failure, in one table by code, and the words for a pause."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from batchgen.records import Failure
from batchgen.report.words import clean, duration

_ROW = "Mend the row in the manifest; the next run takes it up by itself."
_KEY = "Check RUNBASE_API_KEY against the key in your account, then go on."
_CREDIT = "Top up the balance, then go on; or let the batch wait for it with --on-no-credit wait."
_AGAIN = "Nothing was lost: go on with the same command."
_FRESH = "The run is paid for and its id is kept: the next run of the command asks for a fresh address."
_DOUBT = "Look in your account whether the run exists, then decide with batchgen resolve."
_ADDRESS = "Check --base-url and RUNBASE_BASE_URL."

ADVICE: Mapping[str, str] = {
    # the input (service's documentation, “Error codes”)
    "invalid_json": "The service could not read the request. If it happens again, report it with the row.",
    "missing_model": _ROW,
    "missing_input": _ROW,
    "invalid_input": _ROW,
    "model_not_found": "Check the model's name: batchgen models lists those that are known.",
    # the account
    "missing_api_key": _KEY,
    "invalid_api_key": _KEY,
    "ip_not_allowed": "The key may not be used from this address: allow the address in your account, or run elsewhere.",
    "insufficient_balance": _CREDIT,
    "api_key_spend_limit_exceeded": "Raise the key's spending limit in your account, or go on with another key.",
    "usage_exceeded": "The account's quota is used up: wait until it is renewed, or have it raised; then go on.",
    "rate_limited": "Other programs may be using the same key; go on, or set a lower --rate-limit.",
    "key_refused": "Check that the key still works in your account; the runs' ids are kept.",
    "key_missing": "Give the key that created these runs as well: RUNBASE_API_KEYS takes several, comma-separated.",
    # the way to the service
    "not_sent": "The service could not be reached. Check the connection and --base-url, then go on.",
    "unusable": _ADDRESS + " If they are right, the certificate of the service is not trusted here.",
    "no_endpoint": "The service has no such endpoint. " + _ADDRESS,
    "redirected": _ADDRESS + " A redirect is never followed, because it could take the key elsewhere.",
    "unreadable": "The answers were not those of the service. " + _ADDRESS,
    # what became of a run
    "run_not_found": "Look the run up in your account by its id. It was paid for; --retry-failed would pay once more.",
    "no_output": "Look at the run in your account by its id. It was paid for; --retry-failed would pay once more.",
    "run_timeout": "The service is still at it: go on with the same command, or give it longer with --run-timeout.",
    "abandoned": "Given up by a person. --retry-failed renders it anew.",
    "failed": "The money comes back. Another try or other words may do: --retry-failed renders it anew.",
    "canceled": "The service cancelled it and gives the money back; --retry-failed renders it anew.",
    "cancelled": "The service cancelled it and gives the money back; --retry-failed renders it anew.",
    "expired": "The service let it expire and gives the money back; --retry-failed renders it anew.",
    # in doubt
    "in_doubt": _DOUBT,
    "interrupted": _DOUBT,
    "no_answer": _DOUBT,
    "no_id": _DOUBT,
    "id_taken": _DOUBT,
    # the download
    "url_dead": _FRESH,
    "not_a_video": _FRESH,
    "download_interrupted": _FRESH,
    "download_failed": _FRESH,
    "address_refused": "The service named an address that is not fetched for safety's sake. Tell the service; "
    "the run's id is kept.",
    "disk_full": "Make room on the disk, then go on: the videos are paid for and are fetched then.",
    "unwritable": "Check that the folder for the videos can be written to, then go on.",
    # this program
    "max_cost": "Give a higher --max-cost to go on.",
    "state": "Mend what is said above, then go on; nothing is sent that could not be saved.",
    "stopped": _AGAIN,
    "held_back": _AGAIN,
}

_CODE = re.compile(r"http_(\d{3})")


def advice(code: str) -> str:
    """What to do about a failure of this code; something sensible for codes that nobody has documented."""
    known = ADVICE.get(code.lower())
    if known:
        return known
    status = _CODE.fullmatch(code)
    return _by_status(int(status[1])) if status else "These are the service's own words; its support can say more."


def _by_status(status: int) -> str:
    if status in (400, 413, 415, 422):
        return _ROW
    if status == 402:
        return _CREDIT
    if status in (401, 403):
        return _KEY
    if status in (404, 405):
        return "The service has no such endpoint. " + _ADDRESS
    if status == 429:
        return ADVICE["rate_limited"]
    return "The service has trouble of its own: try later."


_HOLD_WORDS: Mapping[str, str] = {
    "rate_limited": "rate limited",
    "http_429": "rate limited",
    "in_doubt": "too many submissions in doubt",
    "insufficient_balance": "no balance left",
    "http_402": "no balance left",
    "api_key_spend_limit_exceeded": "spending limit reached",
    "usage_exceeded": "quota used up",
    "invalid_api_key": "key refused",
    "missing_api_key": "key refused",
    "http_401": "key refused",
    "ip_not_allowed": "address not allowed",
}


def hold_words(what: str, reason: Failure, seconds: float) -> str:
    """A pause in a line: why, what it concerns where that is not everything, and how long it lasts still."""
    if reason.code == "not_sent":
        return f"cannot reach the service ({_short(reason.message)}), next try in {duration(seconds)}"
    why = _HOLD_WORDS.get(reason.code.lower(), _short(reason.message) or reason.code)
    if what == "requests":
        return f"{why}, {duration(seconds)}"
    if math.isinf(seconds):
        return f"no more {clean(what)}: {why}"
    return f"{clean(what)} held back: {why}, {duration(seconds)}"


def _short(message: str) -> str:
    text = clean(message).rstrip(".")
    # A client's error repeats its kind: "no connection: [Errno 111] Connection refused".
    text = re.sub(r"\[Errno -?\d+\] ", "", text)
    return text if len(text) <= 100 else text[:99] + "…"
