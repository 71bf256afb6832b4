"""The rehearsal service as the commands use it: from options to a running service, embedded or on its own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.settings import DEFAULT_RATE, Key, micro_usd_from, rate_from, seconds_from

if TYPE_CHECKING:
    from batchgen.sandbox.options import SandboxOptions
    from batchgen.sandbox.serve import Served

# What a rehearsal's state says in the place of a base URL: the port of the embedded service is another each time.
IDENTITY = "sandbox"
KEY = Key("sk-rehearsal")
EMBEDDED_LATENCY = 0.05


def options_from(given: Mapping[str, Any]) -> SandboxOptions:
    """The service's options from the command line's. Raises UsageProblem or MissingExtra."""
    from batchgen.sandbox.faults import Fault
    from batchgen.sandbox.options import SandboxOptions

    rate = rate_from(given["rate_limit"]) if given.get("rate_limit") else DEFAULT_RATE
    balance = given.get("balance")
    return SandboxOptions(
        latency_scale=given["latency"],
        rate_limit=None if rate.limit is None else (rate.limit, rate.seconds),
        balance_micro_usd=micro_usd_from(balance) if balance else None,
        faults=tuple(Fault.parse(text) for text in given.get("faults", ())),
        url_ttl=seconds_from(given.get("url_ttl", "1h")),
        seed=given.get("seed", 0),
    )


def service_folder(state: Path) -> Path:
    """Where an embedded service keeps its ledger: beside the state of the rehearsal."""
    return state.with_name(state.name.removesuffix(".json").removesuffix(".state") + ".service")


@asynccontextmanager
async def embedded(options: SandboxOptions, folder: Path) -> AsyncIterator[str]:
    """Serves the rehearsal inside this program, and gives its base URL."""
    from batchgen.sandbox import require

    require()
    from batchgen.sandbox.serve import serving

    async with serving(options, folder) as served:
        yield served.base_url


def list_faults() -> str:
    """The faults that can be switched on, one a line."""
    from batchgen.sandbox.faults import describe_faults

    return describe_faults()


def serve(host: str, port: int, folder: Path, options: SandboxOptions) -> None:
    """Serves the rehearsal on its own until a signal ends it. Raises UsageProblem or MissingExtra."""
    from batchgen.sandbox import require

    require()
    import anyio
    import click

    from batchgen.sandbox.serve import serve_until_cancelled

    def ready(served: Served) -> None:
        click.echo(f"Rehearsal service: {served.base_url}")
        click.echo(f"Its ledger is in {folder}. Ctrl-C ends it.")

    signal.signal(signal.SIGINT, signal.default_int_handler)  # closes what is open, instead of leaving at once
    anyio.run(serve_until_cancelled, options, folder, host, port, ready)
