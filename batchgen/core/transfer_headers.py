"""What the headers of an answer say of its body: pure readers, which take whatever a server may send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from batchgen.core.retry_after import asked_pause_s

# A weak tag promises the same film, not the same bytes; and only printable ASCII is safe to send back.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]+"')
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """The tag that a resumed request may name, or `None` where the server offers none or serves no ranges."""
    tag = headers.get("etag", "").strip()
    ranges = headers.get("accept-ranges", "").strip().lower()
    return tag if ranges != "none" and _STRONG_ETAG.fullmatch(tag) else None


def announced_length(headers: Mapping[str, str]) -> int | None:
    """`Content-Length` in bytes, where it says how long the body is (RFC 9112, section 6.3)."""
    length = headers.get("content-length", "").strip()
    return int(length) if "transfer-encoding" not in headers and _NUMBER.fullmatch(length) else None


def announced_range(headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """First byte, byte after the last, and whole length (`None`: not said) of a `Content-Range`; `None`: unusable."""
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        return None
    first, end = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    length = announced_length(headers)
    sound = first < end and (total is None or end <= total) and length in (None, end - first)
    return (first, end, total) if sound else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, from 0 to an hour; `None` where it says nothing usable."""
    return asked_pause_s(headers.get("retry-after"), headers.get("date"), now)
