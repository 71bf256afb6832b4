"""The first image that can be had is taken; trouble means no image, never an error."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import SocketStream

from batchgen.sandbox import images
from batchgen.sandbox.images import first_image

pytestmark = pytest.mark.anyio


@pytest.fixture
async def origin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A server that answers by its path: /good, /missing, /large, /silent."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def answer(stream: SocketStream) -> None:
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # the client may leave at any time
                path = (await stream.receive()).split(b" ")[1]
                if path == b"/silent":
                    await anyio.sleep_forever()
                status = b"404 Not Found" if path == b"/missing" else b"200 OK"
                body = b"x" * (images.MAX_IMAGE_BYTES + 1) if path == b"/large" else path
                await stream.send(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n" + body)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def test_the_first_that_can_be_had_is_taken(origin: str) -> None:
    urls = ["ftp://x/y", "no url", "http://127.0.0.1:1/", f"{origin}/good"]
    assert await first_image(urls) == b"/good"


@pytest.mark.parametrize("path", ["/missing", "/large"])
async def test_what_is_missing_or_too_large_is_no_image(origin: str, path: str) -> None:
    assert await first_image([f"{origin}{path}"]) is None


async def test_a_silent_server_is_not_waited_for(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FETCH_SECONDS", 0.05)
    started = time.monotonic()
    assert await first_image([f"{origin}/silent"]) is None
    assert time.monotonic() - started < 3


async def test_data_urls_carry_their_image() -> None:
    assert await first_image([f"data:image/png;base64,{base64.b64encode(b'png').decode()}"]) == b"png"
    assert await first_image(["data:,a%20b"]) == b"a b"
    assert await first_image(["data:broken", "data:;base64,a"]) is None
    assert await first_image([]) is None
