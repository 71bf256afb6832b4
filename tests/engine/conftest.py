"""Every test of the engine runs on a fast clock, against a rehearsal whose films cost nothing to render."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchgen.sandbox import studio
from tests.engine.loops import FastLoop, backend
from tests.service.films import film

_shared_context = cache(httpx.create_ssl_context)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Minutes of pauses and deadlines pass in seconds."""
    return backend(FastLoop)


@pytest.fixture(autouse=True)
def _one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all root certificates anew for each client would take longer than most tests."""
    monkeypatch.setattr(httpx, "create_ssl_context", _shared_context)


@pytest.fixture(autouse=True)
def _cheap_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine does with a film does not depend on what it shows."""

    def render(_shot: object, _book: object, _image: object, path: Path) -> None:
        path.write_bytes(film())

    monkeypatch.setattr(studio, "render", render)
    monkeypatch.setattr(studio, "FontBook", lambda _fonts: None)
    monkeypatch.setattr(studio, "installed_fonts", lambda: None)
