"""Range, If-Range and ETag, as RFC 9110 wants them, as one pure function."""

from __future__ import annotations

import re

from batchgen.sandbox.answer import Answer, FileAsk, error

_SINGLE_RANGE = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


def file_answer(ask: FileAsk) -> Answer:
    """Answer a request for a file: 200 with all of it, 206 with the one range asked for, or 416.

    Several ranges, a malformed one, and one whose If-Range does not name this file strongly are answered with 200
    (RFC 9110, sections 13.1.5 and 14.2).
    """
    headers = (("ETag", ask.etag), ("Accept-Ranges", "bytes"))
    size = len(ask.content)
    span = wanted_span(ask.range, size) if _may_resume(ask) else None
    if span is None:
        return Answer(200, ask.content, headers, ask.media_type)
    start, stop = span
    if start >= stop:
        return error(416, "range_not_satisfiable", "No such range", (*headers, ("Content-Range", f"bytes */{size}")))
    content_range = ("Content-Range", f"bytes {start}-{stop - 1}/{size}")
    return Answer(206, ask.content[start:stop], (*headers, content_range), ask.media_type)


def wanted_span(header: str | None, size: int) -> tuple[int, int] | None:
    """The half-open span that a Range header asks for; `None` for the whole file, an empty span if there is none."""
    match = _SINGLE_RANGE.fullmatch(header or "")
    if match is None or match.group(0).strip().endswith("=-"):
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0) if int(last) else size, size
    stop = int(last) + 1 if last else size
    if stop <= int(first) and last:
        return None  # the last byte before the first: the header is invalid, and so ignored
    return int(first), min(stop, size)


def _may_resume(ask: FileAsk) -> bool:
    """If-Range holds only when it is this file's ETag, and a strong one."""
    return ask.if_range is None or (ask.if_range == ask.etag and not ask.etag.startswith("W/"))
