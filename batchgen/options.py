"""The options of the command line, each with its environment variable, in the groups that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)  # whether it exists is checked where the error can say more


def option(*names: str, env: str | None = None, **settings: Any) -> Callable[[Any], Any]:
    """A click option that also reads an environment variable: BATCHGEN_ and its name, or the one given."""
    name = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = env or "BATCHGEN_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


def many(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several decorators as one, in the order in which they are listed."""

    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


JSON = option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
MANIFEST = click.argument("manifest", type=FILE)
LOADING = many(
    option(
        "--schema",
        "schemas",
        multiple=True,
        metavar="[MODEL=]FILE",
        help="JSON Schema of the input of a model that is not bundled. Can be given several times.",
    ),
    option("--unvalidated", is_flag=True, help="Accept models without a schema, and send their input unchecked."),
)
STATE = many(
    option("--state", type=FILE, metavar="FILE", help="State file.  [default: MANIFEST-STEM.state.json]"),
    option("--sandbox", is_flag=True, help="Use the rehearsal service and its own state: no key, no cost."),
)
SERVICE = option(
    "--base-url", env="RUNBASE_BASE_URL", metavar="URL", help="The service.  [default: https://runbase.net/api/v1]"
)
OUTPUT = option(
    "--output-dir", type=FILE, metavar="DIR", help="Folder for the videos.  [default: videos/ beside the manifest]"
)
RATE = option("--rate-limit", metavar="N/SECONDS", help="Requests that each key may send.  [default: 20/10]")
SELECTION = many(
    option("--limit", type=click.IntRange(min=0), metavar="N", help="Submit at most N runs this time."),
    option("--only", multiple=True, metavar="PATTERN", help="Only runs whose id matches, as in 'shoe-*'. Repeatable."),
    option("--retry-failed", is_flag=True, help="Render failed runs anew."),
    option(
        "--changed",
        type=click.Choice(["render", "keep"]),
        help="What to do with rows that have changed since they were rendered.",
    ),
)
RUNNING = many(
    SERVICE,
    OUTPUT,
    RATE,
    option(
        "-j", "--concurrency", type=click.IntRange(min=1), metavar="N", help="Runs live at once.  [default: chosen]"
    ),
    option(
        "--max-cost", metavar="USD", help="Spend no more than this on the whole batch; runs in doubt count as spent."
    ),
    option("--on-no-credit", type=click.Choice(["stop", "wait"]), help="When the balance is used up.  [default: stop]"),
    option("--run-timeout", metavar="TIME", help="How long to follow one run, such as 90s or 2h.  [default: 30m]"),
    option("--download-concurrency", type=click.IntRange(min=1), metavar="N", help="Downloads at once.  [default: 8]"),
    option(
        "--assume-5xx-not-created/--no-assume-5xx-not-created",
        default=None,
        help="Send again after HTTP 5xx. Only if the service has confirmed to you that it never creates a run then.",
    ),
    option("--log-file", type=FILE, metavar="FILE", help="Write what happens to FILE as JSON Lines."),
    option(
        "--sandbox-latency",
        type=click.FloatRange(min=0),
        metavar="X",
        help="Scale the rehearsal's latencies by X.  [default: 0.05]",
    ),
    option("--sandbox-balance", metavar="USD", help="Start the rehearsal with this balance.  [default: unlimited]"),
    option(
        "--sandbox-fault", "sandbox_faults", multiple=True, metavar="FAULT", help="See batchgen sandbox --list-faults."
    ),
)
# Variables of their own: a BATCHGEN_LIMIT meant for `run` must not leave rows out of a table unnoticed.
EXPORTING = many(
    option(
        "--format",
        "form",
        env="BATCHGEN_EXPORT_FORMAT",
        type=click.Choice(["csv", "json", "jsonl"]),
        help="[default: by the ending of --output, else csv]",
    ),
    option(
        "--output",
        "-o",
        env="BATCHGEN_EXPORT_OUTPUT",
        type=FILE,
        metavar="FILE",
        help="Write to FILE, whole or not at all; an earlier export is replaced, no other file.  [default: stdout]",
    ),
    option(
        "--only",
        env="BATCHGEN_EXPORT_ONLY",
        multiple=True,
        metavar="PATTERN",
        help="Only runs whose id matches, as in 'shoe-*'. Repeatable.",
    ),
    option(
        "--limit",
        env="BATCHGEN_EXPORT_LIMIT",
        type=click.IntRange(min=0),
        metavar="N",
        help="The first N rows of these.",
    ),
)
SERVING = many(
    option("--host", env="BATCHGEN_SANDBOX_HOST", default="127.0.0.1", show_default=True, help="Address to listen on."),
    option(
        "--port",
        env="BATCHGEN_SANDBOX_PORT",
        default=8765,
        show_default=True,
        type=click.IntRange(0, 65535),
        help="0: any free one.",
    ),
    option(
        "--folder",
        env="BATCHGEN_SANDBOX_FOLDER",
        type=FILE,
        default=Path("batchgen-sandbox"),
        show_default=True,
        help="Keeps its ledger.",
    ),
    option("--rate-limit", metavar="N/SECONDS", help="Request window of each key.  [default: 20/10]"),
    option(
        "--latency",
        env="BATCHGEN_SANDBOX_LATENCY",
        type=click.FloatRange(min=0),
        default=1.0,
        show_default=True,
        help="Scale of latencies.",
    ),
    option("--balance", env="BATCHGEN_SANDBOX_BALANCE", metavar="USD", help="Start with it.  [default: unlimited]"),
    option("--fault", "faults", env="BATCHGEN_SANDBOX_FAULT", multiple=True, metavar="FAULT", help="Repeatable."),
    option(
        "--url-ttl",
        env="BATCHGEN_SANDBOX_URL_TTL",
        metavar="TIME",
        default="1h",
        show_default=True,
        help="How long output URLs live.",
    ),
    option(
        "--seed",
        env="BATCHGEN_SANDBOX_SEED",
        type=int,
        default=0,
        show_default=True,
        help="Decides latencies and the faults' draws.",
    ),
)
