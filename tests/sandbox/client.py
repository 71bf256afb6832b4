"""A client that hides nothing: it reads a connection to its end, and tells how that came."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field
from typing import Any

import anyio

from batchgen.sandbox.serve import Served

MODEL = "bytedance/seedance-1.5-pro"
PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Heard:
    """All that came over one connection. `status` is 0 where nothing did; `ending` is “closed”, “reset” or “open”."""

    ending: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error answer."""
        return str(self.json["error"]["code"])

    @property
    def whole(self) -> bool:
        """Whether the body is as long as was announced."""
        return len(self.body) == int(self.headers["content-length"])


@dataclass(frozen=True)
class Client:
    """Speaks to one service with one key."""

    served: Served
    key: str = "sk-test"

    async def post(self, prompt: str = "A lamp", fault: str = "", **given: Any) -> Heard:
        """Create a run."""
        given = {"resolution": "480p", **given}
        return await self.post_json({"model": MODEL, "input": {"prompt": prompt, **given}}, fault)

    async def post_json(self, document: object, fault: str = "") -> Heard:
        """POST /runs with any document, or any bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return await self._api("POST", "/runs", {"X-Sandbox-Fault": fault} if fault else {}, body)

    async def get(self, run_id: str, fault: str = "") -> Heard:
        """Poll a run."""
        return await self._api("GET", f"/runs/{run_id}", {"X-Sandbox-Fault": fault} if fault else {})

    async def fetch(self, url: str, **headers: str) -> Heard:
        """GET any address of the service, without a key."""
        return await self.send("GET", url, {name.replace("_", "-"): value for name, value in headers.items()})

    async def url_of(self, prompt: str = "A lamp", **given: Any) -> str:
        """Create a run and take the address of its video."""
        run = (await self.post(prompt, **given)).json["id"]
        return str((await self.get(run)).json["output"]["urls"][0])

    async def books(self) -> Any:
        """The operators' view of the ledger."""
        return (await self.fetch(f"{self.served.origin}/sandbox/ledger")).json

    async def _api(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Heard:
        headers = {"Authorization": f"Bearer {self.key}", **headers} if self.key else headers
        return await self.send(method, self.served.base_url + path, headers, body)

    async def send(
        self, method: str, url: str, headers: dict[str, str], body: bytes = b"", patience: float = PATIENCE_SECONDS
    ) -> Heard:
        """One request over a connection of its own, heard to its end, or for so many seconds."""
        host, _, path = url.removeprefix("http://").partition("/")
        fields = {"Host": host, "Connection": "close", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        address, port = host.split(":")
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (address, int(port)))
            await loop.sock_sendall(sock, f"{method} /{path} HTTP/1.1\r\n{head}\r\n".encode() + body)
            received = bytearray()
            ending = "open"
            with anyio.move_on_after(patience):
                ending = await _hear(sock, received)
        return _parsed(bytes(received), ending)


async def _hear(sock: socket.socket, received: bytearray) -> str:
    loop = asyncio.get_running_loop()
    while True:
        try:
            chunk = await loop.sock_recv(sock, 1 << 16)
        except ConnectionResetError:
            return "reset"
        if not chunk:
            return "closed"
        received += chunk


def _parsed(received: bytes, ending: str) -> Heard:
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        return Heard(ending)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Heard(ending, int(first.split(" ")[1]), headers, body)
