"""One rehearsal service for all tests that do not need their own: faults are switched on run by run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.serve import Served, serving


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """As for all tests; for the session, because the shared service lives as long."""
    return "asyncio"


@pytest.fixture(scope="session")
async def served(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A service that ends every run at once and limits nothing."""
    options = SandboxOptions(latency_scale=0, rate_limit=None)
    async with serving(options, tmp_path_factory.mktemp("rehearsal")) as service:
        yield service
