"""From a file to runs: read, merge with the defaults, check, name. All problems are gathered on the way."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from batchgen.errors import ManifestInvalid, UsageProblem
from batchgen.manifest.identity import Names, id_fault, run_digest
from batchgen.manifest.schemas import Checkers, Checks
from batchgen.manifest.shapes import NO_RUNS, SUGGESTED, Draft, Fault, LoadOptions, Manifest, Row
from batchgen.manifest.source import Source, read
from batchgen.manifest.suggest import nearest, shown
from batchgen.records import DEFAULT_MODEL, Place, Problem, Run, sha256_of

Reader = Callable[[Source, Checkers], Draft]


class _Wanted(NamedTuple):
    """A row that was checked."""

    place: Place
    id: str | None
    model: str
    input: Mapping[str, Any]


def load_manifest(path: Path, options: LoadOptions) -> Manifest:
    """As `batchgen.manifest.load`, which see."""
    reader = _reader(path)
    source = read(path)
    checkers = Checkers(options)
    with _collector_paused():
        draft = reader(source, checkers)
        batch = _Batch(draft, checkers)
        wanted = [batch.wanted(row) for row in batch.while_it_helps(draft.rows)]
        problems = [*draft.problems, *batch.problems]
        if not wanted and not problems:
            problems.append(Problem(Place(source.name, 1), NO_RUNS))
        if problems:
            raise ManifestInvalid(_sorted(problems, draft.columns))
        return Manifest(path, source.sha256, _runs(wanted), draft.settings, draft.output_dir)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Nothing built here is garbage or cyclic, yet walking it over and over takes a fifth of a large load's time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _reader(path: Path) -> Reader:
    reader = READERS.get(path.suffix.lower())
    if reader is None and not path.is_dir():
        known = ", ".join(READERS)
        raise UsageProblem(f"{path}: the format goes by the extension, which must be one of {known}.")
    return reader or _yaml


def _yaml(source: Source, checkers: Checkers) -> Draft:
    from batchgen.manifest.outline import read_yaml

    return read_yaml(source, checkers.all_parameters())


def _csv(source: Source, checkers: Checkers) -> Draft:
    from batchgen.manifest.tables import read_table

    return read_table(source, ",", checkers)


def _tsv(source: Source, checkers: Checkers) -> Draft:
    from batchgen.manifest.tables import read_table

    return read_table(source, "\t", checkers)


def _json_lines(source: Source, _checkers: Checkers) -> Draft:
    from batchgen.manifest.lines import read_json_lines

    return read_json_lines(source)


def _text(source: Source, _checkers: Checkers) -> Draft:
    from batchgen.manifest.lines import read_text

    return read_text(source)


READERS: Mapping[str, Reader] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".txt": _text,
}


MOST_PARAMETERS = 10_000
MOST_PROBLEMS = 10_000
"""Nobody mends more at once; the rows behind them are not looked at."""


class _Batch:
    """Checks the rows of one draft, and gathers what is wrong with them."""

    def __init__(self, draft: Draft, checkers: Checkers) -> None:
        self.problems: list[Problem] = []
        self._draft = draft
        self._checkers = checkers
        self._parameters = checkers.all_parameters()
        self._ids: dict[str, Place] = {}

    def wanted(self, row: Row) -> _Wanted:
        """The row as it would be sent, where nothing is wrong with it."""
        params = {**self._draft.defaults, **row.params} if self._draft.defaults else row.params
        place = self._draft.locate(row, ())
        given_id = self._id(row)
        model, checks = self._model(row)
        if checks is None:
            return _Wanted(place, given_id, model, {})
        if len(params) > MOST_PARAMETERS:
            self._add(row, Fault((), f"a run with {len(params):,} parameters; {model} takes no such number."))
            return _Wanted(place, given_id, model, {})
        checked = checks.check(params)
        for fault in checked.faults:
            self._add(row, self._in_context(row, fault, model))
        return _Wanted(place, given_id, model, checked.input)

    def while_it_helps(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, until there are more problems in them than anybody reads."""
        for row in rows:
            if len(self.problems) >= MOST_PROBLEMS:
                message = f"more than {MOST_PROBLEMS:,} problems; from here on nothing was checked."
                self.problems.append(Problem(self._draft.locate(row, ()), message))
                return
            yield row

    def _id(self, row: Row) -> str | None:
        if row.id is None:
            return None
        if isinstance(row.id, bool) or not isinstance(row.id, str | int):
            self._add(row, Fault(("id",), f"id must be text, not {shown(row.id)}."))
            return None
        text = str(row.id).strip()
        wrong = id_fault(text)
        if wrong:
            self._add(row, Fault(("id",), wrong))
            return None
        place = self._draft.locate(row, ("id",))
        first = self._ids.setdefault(text, place)
        if first is not place:
            self._add(row, Fault(("id",), f"the id {shown(text)} is given twice; the first is at {first}."))
        return text

    def _model(self, row: Row) -> tuple[str, Checks | None]:
        if row.model is not None and not isinstance(row.model, str):
            self._add(row, Fault(("model",), f"model must be text, not {shown(row.model)}."))
            return "", None
        model = (row.model or self._draft.default_model or DEFAULT_MODEL).strip()
        checks = self._checkers.get(model)
        if checks is None:
            message = (
                f"unknown model {shown(model)}; give its input schema with --schema, "
                "or send its runs unchecked with --unvalidated."
            )
            few = len(self.problems) < SUGGESTED
            suggestion = _nearest_model(model, self._checkers.model_names()) if few else None
            place = None if row.model else self._draft.default_model_place
            self._add(row, Fault(("model",), message, suggestion), place)
        return model, checks

    def _in_context(self, row: Row, fault: Fault, model: str) -> Fault:
        """A name that another model takes is no slip of the pen; and a default can be taken back in a run."""
        name = fault.path[0] if fault.path else None
        if not fault.at_key or name not in self._parameters:
            return fault
        message = fault.message
        if row.model is not None and name in self._draft.defaults and name not in row.params:
            message = f"{model} takes no parameter {name}, which is among the defaults; take it back: {name}: null."
        return Fault(fault.path, message, at_key=True)

    def _add(self, row: Row, fault: Fault, place: Place | None = None) -> None:
        where = place or self._draft.locate(row, fault.path, fault.at_key)
        if fault.missing and self._draft.columns:  # in a table even what is not there has a column
            where = replace(where, column=fault.missing)
        self.problems.append(Problem(where, fault.message, fault.suggestion))


def _nearest_model(model: str, names: Iterable[str]) -> str | None:
    """The nearest model; its name without the maker's is enough."""
    full = {name.rpartition("/")[2]: name for name in names}
    near = nearest(model, full.values())
    return near or full.get(nearest(model.rpartition("/")[2], full) or "")


def _runs(wanted: list[_Wanted]) -> tuple[Run, ...]:
    names = Names(item.id for item in wanted if item.id is not None)
    runs = []
    for place, given_id, model, value in wanted:
        input_sha256 = sha256_of(value)
        name = given_id or names.name(str(value.get("prompt", "")), run_digest(model, input_sha256))
        runs.append(Run(name, model, value, input_sha256, place))
    return tuple(runs)


def _sorted(problems: list[Problem], columns: Iterable[str]) -> list[Problem]:
    """By place, each once: what is wrong with a default is wrong in every run, and told at the default."""
    position = {name: index for index, name in enumerate(columns, 1)}

    def key(problem: Problem) -> tuple[int, int]:
        column = problem.place.column
        return problem.place.line, column if isinstance(column, int) else position.get(column, 0)

    return sorted(dict.fromkeys(problems), key=key)
