"""`Retry-After`, as seconds or as a date (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE_S = 3600.0


def asked_pause_s(value: str | None, date: str | None, now_utc: datetime) -> float | None:
    """How long the header asks to wait, in seconds from 0 to an hour; None where there is none that makes sense.

    A date is measured against the answer's own `Date`, so that a wrong clock on this machine does not matter.
    """
    text = (value or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, date, now_utc)
    if math.isnan(seconds) or seconds < 0:
        return None
    return min(seconds, LONGEST_PAUSE_S)


def _until(value: str, date: str | None, now_utc: datetime) -> float:
    target = _http_date(value)
    if target is None:
        return math.nan
    base = _http_date(date or "") or now_utc
    return max(0.0, (target - base).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):  # what the reader of dates raises on nonsense
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
