"""Fetches the first image of a run that can be had. Whatever goes wrong, there is just no image."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

import anyio
import httpx

MAX_IMAGE_BYTES = 10_000_000  # what hosts of such models take (runbase-api.md)
FETCH_SECONDS = 3.0
MAX_TRIES = 4


async def first_image(urls: Sequence[str]) -> bytes | None:
    """The bytes behind the first of the addresses (http, https or data) that answers in time and is not too large."""
    if not urls:
        return None
    for url in urls[:MAX_TRIES]:
        image = _from_data_url(url) if url.startswith("data:") else await _fetched(url)
        if image:
            return image
    return None


async def _fetched(url: str) -> bytes | None:
    try:
        with anyio.fail_after(FETCH_SECONDS):
            async with (
                httpx.AsyncClient(follow_redirects=True, max_redirects=3) as client,
                client.stream("GET", url) as response,
            ):
                return await _body(response) if response.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, ValueError):
        return None


async def _body(response: httpx.Response) -> bytes | None:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_IMAGE_BYTES:
            return None
    return bytes(body)


def _from_data_url(url: str) -> bytes | None:
    """The content of a data URL (RFC 2397)."""
    head, comma, content = url.partition(",")
    if not comma or len(content) > 2 * MAX_IMAGE_BYTES:
        return None
    try:
        raw = unquote_to_bytes(content)
        return base64.b64decode(raw, validate=False) if head.endswith(";base64") else raw
    except (binascii.Error, ValueError):
        return None
