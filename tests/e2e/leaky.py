"""A service that says its clients' keys back wherever it can, a host of files that should see none, and a proxy."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from tests.service.films import film

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\u202eback\u2066"
SIGNATURE = "X-Signature=c0ffee11c0ffee22c0ffee33"


@dataclass
class Heard:
    """The requests that a host has heard, whole, and its port."""

    port: int = 0
    host: str = "127.0.0.1"
    requests: list[str] = field(default_factory=list)


def spellings(key: str) -> str:
    """A key as services quote it: whole, escaped, encoded, in pieces."""
    half = len(key) // 2
    encoded = [base64.b64encode((before + key + ":x").encode()).decode() for before in ("", "a", "ab", "Bearer ")]
    parts = (key, quote(key, safe=""), *encoded, key[half:] + key[:half], key[:12] + "…", key[-10:])
    return " ".join(f"<{part}>" for part in parts)


class _Host(ThreadingHTTPServer):
    daemon_threads = True
    heard: Heard
    files: Heard | None = None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""

    def _note(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = f"{self.requestline}\n{self.headers}\n" + body.decode("utf-8", "replace")
        server = self.server
        assert isinstance(server, _Host)
        server.heard.requests.append(text)
        return body

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


class _Files(_Handler):
    def do_GET(self) -> None:
        self._note()
        self._say(200, film(), Content_Disposition="attachment; filename=../../x.mp4", Content_Type="video/mp4")


class _Service(_Handler):
    def _key(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _json(self, status: int, value: object) -> None:
        self._say(
            status, json.dumps(value, ensure_ascii=False).encode(), X_Key=self._key(), Set_Cookie=f"k={self._key()}"
        )

    def do_POST(self) -> None:
        prompt = str(json.loads(self._note())["input"]["prompt"])
        told = f"Bad key {spellings(self._key())} {ESCAPES} https://a.example/v.mp4?{SIGNATURE}"
        if prompt.startswith("post-"):
            status = int(prompt.removeprefix("post-"))
            self._json(status, {"error": {"code": "invalid_input", "message": told}, "echo": spellings(self._key())})
        elif prompt == "no-json":
            self._say(201, told.encode())
        elif prompt == "broken":
            self.wfile.write(f"HTTP/1.1 200 {self._key()}\r\nnonsense {self._key()}\r\n\r\n".encode())
            self.close_connection = True
        else:
            self._json(
                201, {"id": f"run_{prompt}", "status": "pending", "costUsd": 1000, "echo": spellings(self._key())}
            )

    def do_GET(self) -> None:
        self._note()
        name = self.path.rpartition("run_")[2]
        told = f"No: {spellings(self._key())} {ESCAPES} https://a.example/v.mp4?{SIGNATURE}"
        run: dict[str, object] = {"id": f"run_{name}", "status": "succeeded", "model": spellings(self._key())}
        server = self.server
        assert isinstance(server, _Host)
        assert server.files is not None
        host = f"http://127.0.0.1:{server.files.port}"
        if name == "failed":
            run |= {"status": "failed", "error": told}
        elif name == "coded":
            run |= {"status": "failed", "error": {"code": f"x_{self._key()}", "message": told}}
        elif name == "link":
            run["output"] = {"urls": [f"{host}/{quote(self._key(), safe='')}.mp4?key={quote(self._key())}&{SIGNATURE}"]}
        elif name == "bare":
            run["output"] = {"urls": [f"https://10.0.0.1/v.mp4?{SIGNATURE}#{quote(self._key())}"]}
        else:
            run["output"] = {"urls": [f"{host}/v.mp4?{SIGNATURE}"]}
        self._json(200, run)


class _Proxy(_Handler):
    def _refuse(self) -> None:
        self._note()
        self._say(502, b"")

    do_GET = do_POST = do_CONNECT = _refuse  # noqa: N815 - http.server's names


@contextmanager
def _serving(handler: type[_Handler], files: Heard | None = None, host: str = "127.0.0.1") -> Iterator[Heard]:
    server = _Host((host, 0), handler)
    server.heard, server.files = Heard(server.server_port, host), files
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Hosts:
    """The three of them."""

    service: Heard
    files: Heard
    proxy: Heard

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return f"http://{self.service.host}:{self.service.port}/api/v1"


@contextmanager
def leaky_hosts(service_at: str = "127.0.0.1") -> Iterator[Hosts]:
    """All three, on free ports of this machine."""
    with (
        _serving(_Files) as files,
        _serving(_Service, files, service_at) as service,
        _serving(_Proxy) as proxy,
    ):
        yield Hosts(service, files, proxy)
