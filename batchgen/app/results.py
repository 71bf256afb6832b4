"""`batchgen export`: every run that the manifest or the state knows, as a table to stdout or to a file."""

from __future__ import annotations

import gc
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from batchgen.app.outfile import write
from batchgen.app.planning import registry_estimate
from batchgen.app.standing import pending, records_of
from batchgen.app.target import Target, load_options
from batchgen.core.cost import Prices, money_of
from batchgen.core.plan import Selection, changed_fields
from batchgen.errors import ManifestInvalid, UsageProblem
from batchgen.manifest import Manifest
from batchgen.manifest.schemas import Checkers
from batchgen.records import Record, Run
from batchgen.report.export import Entry, json_array, json_lines
from batchgen.report.words import counted, harmless

FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", "": "csv"}
LINES_AT_ONCE = 500


def export(target: Target, stdout: BinaryIO) -> list[str]:
    """Writes the table, and returns what is to be said beside it. Takes no lock. Raises what `status` raises."""
    output = target.options.get("output")
    output = None if output is None or str(output) == "-" else Path(output)
    form = _format(target, output)
    records, manifest = _known(target)
    gc.freeze()  # all this stays to the end: walking it over and over takes a fifth of a large export's time
    rows = _rows(records, manifest)
    chosen = _chosen(rows, target)
    parts = _parts(
        form, _entries(target, records, chosen, manifest), _parameters(target, rows) if form == "csv" else []
    )
    if output:
        write(target, records, output, parts, marked=form == "csv")
    else:
        for part in map(_shown, parts) if stdout.isatty() else parts:
            stdout.write(part)
        stdout.flush()
    said = [f"Wrote {counted(len(chosen), 'run')} to {output}."] if output else []
    if manifest is None:
        said.append(f"{target.manifest} cannot be used as it is now, so no row's place in it is given.")
    return said


def _format(target: Target, output: Path | None) -> str:
    chosen = target.options.get("form")
    ending = output.suffix.lower() if output else ""
    if not chosen and ending not in FORMATS:
        known = ", ".join(filter(None, FORMATS))
        raise UsageProblem(
            f"{output}: the format goes by the ending, which is none of {known}.", "Name the format with --format."
        )
    return chosen or FORMATS[ending]


def _known(target: Target) -> tuple[dict[str, Record], Manifest | None]:
    """What the state has, and the manifest; without a state there is nothing to export but a valid manifest."""
    records = records_of(target)
    try:
        return records, target.load()
    except (ManifestInvalid, UsageProblem):
        if not records:
            raise
        return records, None


def _rows(records: Mapping[str, Record], manifest: Manifest | None) -> list[tuple[Record, Run | None]]:
    """The manifest's rows in their order, then what the state has beyond them."""
    meant = [(records.get(run.id) or pending(run), run) for run in manifest.runs] if manifest else []
    names = {record.id for record, _ in meant}
    return [*meant, *((record, None) for record in records.values() if record.id not in names)]


def _chosen(rows: list[tuple[Record, Run | None]], target: Target) -> list[tuple[Record, Run | None]]:
    selection = Selection(only=tuple(target.options.get("only") or ()))
    picked = [row for row in rows if selection.picks(row[0].id)]
    if rows and not picked:  # a slip of the pen, as for `run`
        patterns = ", ".join(selection.only)
        raise UsageProblem(f"--only {patterns} matches none of the {len(rows)} runs.")
    return picked[: target.options.get("limit")]


def _parameters(target: Target, rows: Iterable[tuple[Record, Run | None]]) -> list[str]:
    """The parameters with a column: all that the models in the table take, used or not, and all that are used.

    They do not depend on the selection, so that tables of parts of a batch have the same columns.
    """
    from batchgen.report.exportcsv import parameter_columns

    checkers = Checkers(load_options(target.options))
    names, models = {"prompt"}, set[str]()
    for record, _ in rows:
        models.add(record.model)
        names.update(record.input)
    for model in models:
        checks = checkers.get(model)
        names.update((checks.names if checks else None) or ())
    return parameter_columns(names)


def _entries(
    target: Target,
    records: Mapping[str, Record],
    chosen: Iterable[tuple[Record, Run | None]],
    manifest: Manifest | None,
) -> Iterator[Entry]:
    prices = Prices(records.values(), registry_estimate)
    folder = target.paths.state.parent.as_posix()
    for record, run in chosen:
        files = (replace(file, path=_from_here(folder, file.path)) for file in record.files)
        yield Entry(
            record,
            money_of((record,), prices),
            tuple(files),
            run.place if run else None,
            in_manifest=bool(run) if manifest else None,
            row_changed=bool(changed_fields(run, record)) if run else None,
        )


def _from_here(folder: str, path: str) -> str:
    """A path that the state has relative to its own folder, as seen from where the user is."""
    return posixpath.normpath(posixpath.join(folder, path))


def _parts(form: str, entries: Iterator[Entry], parameters: list[str]) -> Iterator[bytes]:
    """The bytes to be written, a few hundred lines at a time. UTF-8; a lone surrogate is spelled as JSON spells it."""
    if form == "csv":
        from batchgen.report.exportcsv import csv_lines

        lines = csv_lines(entries, parameters)
    else:
        lines = json_lines(entries) if form == "jsonl" else json_array(entries)
    while part := "".join(islice(lines, LINES_AT_ONCE)):
        yield part.encode("utf-8", "backslashreplace")


def _shown(part: bytes) -> bytes:
    """Lines for a terminal, without what it would obey: prompts and a server's words are in them."""
    return harmless(part.decode("utf-8").replace("\r\n", "\n")).encode("utf-8")
