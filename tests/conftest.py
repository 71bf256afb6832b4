"""What every test shares."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import rows

# A runner in the background or under nohup ignores signals, and so would every process that a test starts.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# How fast a busy machine draws examples says nothing of the code under test.
settings.register_profile("batchgen", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("batchgen")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio: aiofiles and uvicorn know no other."""
    return "asyncio"


@pytest.fixture
def unused_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _rows_are_proven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that names rows of the verdict tables has to reach them."""
    yield from rows.proven(request, monkeypatch)
