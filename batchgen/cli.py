"""The command line: parses, calls `app`, prints what it returns. Errors become exit codes in `__main__`.

Nothing heavy is imported before a command really runs, so that `--help` stays quick.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen import __version__
from batchgen.options import EXPORTING, FILE, JSON, LOADING, MANIFEST, RATE, RUNNING, SELECTION, SERVING, STATE, option

if TYPE_CHECKING:
    from batchgen.app.target import Reply, Target

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class InOrder(click.Group):
    """Lists the commands in the order in which they are written here, which is the order in which one needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands."""
        return list(self.commands)


@click.group(cls=InOrder, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="batchgen")
def cli() -> None:
    """Turns a list of prompts into videos: every one once, paid for once, nothing lost on the way.

    \b
    Begin with:
      batchgen init shots.yaml             write a starter manifest
      batchgen run shots.yaml --sandbox    rehearse it: no key, no cost
      batchgen run shots.yaml              do it; the same command resumes
    """


@cli.command(short_help="Write a starter manifest.")
@click.argument("file", type=FILE, default=Path("manifest.yaml"))
@option("--force", is_flag=True, help="Overwrite FILE.")
def init(file: Path, force: bool) -> None:
    """Write a starter manifest that runs as it is.

    FILE ends in .yaml or .csv  [default: manifest.yaml]

    \b
    Examples:
      batchgen init
      batchgen init products.csv
    """
    from batchgen.app import look

    _emit(look.init(file, force=force), as_json=False)


@cli.command(short_help="Check a manifest; send nothing.")
@MANIFEST
@LOADING
@JSON
def validate(manifest: Path, schemas: tuple[str, ...], unvalidated: bool, as_json: bool) -> None:
    """Report every problem of MANIFEST at once, as file:line:column: message. Sends nothing.

    \b
    Examples:
      batchgen validate shots.yaml
      batchgen validate mine.csv --schema acme/video-2=acme.schema.json
    """
    from batchgen.app import look

    _emit(look.validate(_target(manifest, schemas=schemas, unvalidated=unvalidated)), as_json)


@cli.command(short_help="Show what run would do, why and for how much.")
@MANIFEST
@STATE
@LOADING
@SELECTION
@RATE
@JSON
def plan(manifest: Path, as_json: bool, **options: Any) -> None:
    """Show what `run` would do with MANIFEST, why, and what it would cost. Sends nothing.

    \b
    Examples:
      batchgen plan shots.yaml
      batchgen plan shots.yaml --only 'lamp-*' --json
    """
    from batchgen.app import look

    _emit(look.plan(_target(manifest, **options)), as_json)


@cli.command(short_help="Render a manifest; the same command resumes.")
@MANIFEST
@STATE
@LOADING
@SELECTION
@RUNNING
@option("-q", "--quiet", is_flag=True, help="Show only what a person has to know.")
@option("-v", "--verbose", is_flag=True, help="Show every run.")
@JSON
def run(manifest: Path, as_json: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Render MANIFEST. The same command resumes after any stop; nothing is submitted twice.

    The API key is read from RUNBASE_API_KEY; several, comma-separated, from RUNBASE_API_KEYS.

    \b
    Examples:
      batchgen run shots.yaml --sandbox          rehearse: no key, no cost
      batchgen run shots.yaml --max-cost 25      at most $25
      batchgen run shots.yaml --retry-failed     once more what has failed

    \b
    Exit codes: 0 every run is downloaded; 1 some failed; 2 bad usage or manifest, nothing sent;
    3 stopped by the account; 4 runs in doubt wait for `resolve`; 5 the state is locked, damaged
    or cannot be written; 130, 143 stopped by a signal.
    """
    from batchgen.app.render import Voice
    from batchgen.app.render import run as render

    _emit(render(_target(manifest, **options), Voice(quiet=quiet, verbose=verbose)), as_json)


@cli.command(short_help="Show how a batch stands and what to do next.")
@MANIFEST
@STATE
@JSON
def status(manifest: Path, as_json: bool, **options: Any) -> None:
    """Show counts, money, what failed and why, and what to do next.

    \b
    Example:
      batchgen status shots.yaml
    """
    from batchgen.app import look

    _emit(look.status(_target(manifest, **options)), as_json)


@cli.command(short_help="Decide runs in doubt.")
@MANIFEST
@click.argument("ids", nargs=-1, metavar="ID...")
@STATE
@option("--adopt", metavar="RUN_ID", help="The service did create it: this is its run id. Takes one ID.")
@option("--not-created", is_flag=True, help="The service did not create it: `run` may send it again.")
@option("--abandon", is_flag=True, help="Give it up; its price counts as spent.")
@JSON
def resolve(
    manifest: Path,
    ids: tuple[str, ...],
    adopt: str | None,
    not_created: bool,
    abandon: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Decide runs in doubt: those whose POST may or may not have created a run.

    Look the run up in your account first. Without an ID the runs in doubt are listed.

    \b
    Examples:
      batchgen resolve shots.yaml
      batchgen resolve shots.yaml lamp --adopt run_8f3k2
      batchgen resolve shots.yaml shoe-1 shoe-2 --not-created
    """
    from batchgen.app.decide import Decision
    from batchgen.app.decide import resolve as decide

    decision = Decision(adopt=adopt, not_created=not_created, abandon=abandon)
    _emit(decide(_target(manifest, **options), ids, decision), as_json)


@cli.command(short_help="Write the results as CSV, JSON or JSON Lines.")
@MANIFEST
@EXPORTING
@STATE
@LOADING
def export(manifest: Path, **options: Any) -> None:
    """Write a row for each run of MANIFEST and of its state: status, input, files, cost, times, error.

    It may be used at any time, also while `run` is at work. Amounts are US dollars; what is unknown is empty (null).

    In CSV, text that a spreadsheet could take for a formula gets an apostrophe before it: a cell that begins with
    = + - @ (also full-width, or after blanks and quotes), a tab or a line break, and what follows a line break, tab or
    semicolon inside a cell in the same way. Numbers stay numbers. json and jsonl carry every value untouched.

    \b
    Examples:
      batchgen export shots.yaml --output results.csv
      batchgen export shots.yaml --format jsonl | jq -r 'select(.status == "failed") | .id'
    """
    from batchgen.app.results import export as write_table
    from batchgen.report.stream import showable

    for note in write_table(_target(manifest, **options), sys.stdout.buffer):
        click.echo(showable(note, sys.stderr), err=True)


@cli.command(short_help="List the models, or show one's parameters.")
@click.argument("model", required=False)
@JSON
def models(model: str | None, as_json: bool) -> None:
    """List the known models, or show the input schema of one.

    \b
    Examples:
      batchgen models
      batchgen models kling/kling-3.0
    """
    from batchgen.app import look

    _emit(look.models(model), as_json)


@cli.command(short_help="Print the JSON Schema of manifests.")
def schema() -> None:
    """Print the JSON Schema of manifests, for editors that complete and check YAML.

    \b
    Example:
      batchgen schema > batchgen.schema.json
    """
    from batchgen.app import look

    click.echo(json.dumps(look.schema(), ensure_ascii=False, indent=2))


@cli.command(short_help="Serve the rehearsal service.")
@SERVING
@click.option("--list-faults", is_flag=True, help="List the faults, and exit.")
def sandbox(host: str, port: int, folder: Path, list_faults: bool, **options: Any) -> None:
    """Serve the rehearsal service on its own: the API over a real socket, no cost. Ctrl-C ends it.

    \b
    Example, in two terminals:
      batchgen sandbox --latency 0.05
      RUNBASE_API_KEY=sk-test batchgen run shots.yaml --base-url http://127.0.0.1:8765/api/v1
    """
    from batchgen import rehearse

    if list_faults:
        click.echo(rehearse.list_faults())
        return
    rehearse.serve(host, port, folder, rehearse.options_from(options))


def _target(manifest: Path, **options: Any) -> Target:
    from batchgen.app.target import Target

    return Target(manifest, options)


def _emit(reply: Reply, as_json: bool) -> None:
    """Prints the result to stdout and ends with its exit code."""
    from batchgen.report.stream import showable

    text = json.dumps(reply.data, ensure_ascii=False, indent=2) if as_json else reply.text.rstrip("\n")
    if text:
        try:
            click.echo(showable(text, sys.stdout))
        except OSError as problem:
            if isinstance(problem, BrokenPipeError) or not reply.exit_code:
                raise
            # How the batch stands says more than that the text about it could not be written.
            click.echo(f"batchgen: the result cannot be written: {problem.strerror}.", err=True)
    if reply.exit_code:
        raise SystemExit(reply.exit_code)
