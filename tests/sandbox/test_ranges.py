"""Range requests as RFC 9110 has them."""

from __future__ import annotations

import pytest

from batchgen.sandbox.answer import FileAsk
from batchgen.sandbox.ranges import file_answer

CONTENT = bytes(range(100))
ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        (None, 200, CONTENT, None),
        ("bytes=10-", 206, CONTENT[10:], "bytes 10-99/100"),
        ("bytes=10-19", 206, CONTENT[10:20], "bytes 10-19/100"),
        ("bytes=90-500", 206, CONTENT[90:], "bytes 90-99/100"),
        ("bytes=-5", 206, CONTENT[95:], "bytes 95-99/100"),
        ("bytes=-500", 206, CONTENT, "bytes 0-99/100"),
        ("BYTES=0-0", 206, CONTENT[:1], "bytes 0-0/100"),
        ("bytes=100-", 416, None, "bytes */100"),
        ("bytes=-0", 416, None, "bytes */100"),
        ("bytes=5-4", 200, CONTENT, None),
        ("bytes=-", 200, CONTENT, None),
        ("bytes=0-1,5-6", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
    ],
)
def test_a_range_is_answered(header: str | None, status: int, body: bytes | None, content_range: str | None) -> None:
    answer = file_answer(FileAsk(CONTENT, ETAG, range=header))
    assert answer.status == status
    assert dict(answer.headers).get("Content-Range") == content_range
    assert body is None or answer.body == body
    assert dict(answer.headers)["ETag"] == ETAG


@pytest.mark.parametrize(
    ("etag", "if_range", "status"), [(ETAG, ETAG, 206), (ETAG, '"old"', 200), (f"W/{ETAG}", f"W/{ETAG}", 200)]
)
def test_if_range_holds_for_the_same_strong_etag_only(etag: str, if_range: str, status: int) -> None:
    assert file_answer(FileAsk(CONTENT, etag, range="bytes=10-", if_range=if_range)).status == status
