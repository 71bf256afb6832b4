"""CSV and TSV manifests: a header row that names parameters, and a run in every row below it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from batchgen.errors import ManifestInvalid
from batchgen.manifest.schemas import Checkers
from batchgen.manifest.shapes import Draft, LinePlaces, Row, drained
from batchgen.manifest.source import Source
from batchgen.manifest.suggest import nearest, shown
from batchgen.records import DEFAULT_MODEL, Place, Problem

OWN_COLUMNS = ("id", "model")
MAX_COLUMNS = 1000
"""Far more than any model has parameters; a row with more is no header."""

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_SEP_LINE = re.compile(r'"?sep=(.)"?\n')
"""Excel's own first line, which says what separates the cells."""


class _Line(NamedTuple):
    """A row's cells, and the physical line (from 1) on which it starts."""

    number: int
    cells: list[str]


class _Form(NamedTuple):
    """How a table is written."""

    delimiter: str
    quoted: bool
    skip: int


def read_table(source: Source, delimiter: str, checkers: Checkers) -> Draft:
    """The draft of a table whose extension promises `delimiter`; another one is taken where the header shows it.

    An empty cell is absent, a row of empty cells is none. Raises `ManifestInvalid` where the rows cannot be told apart.
    """
    known = checkers.all_parameters() | set(OWN_COLUMNS)
    form = _form(source.text, delimiter, known)
    lines = _lines(source, form)
    header = next(lines, None)
    if header is None:
        return Draft(rows=iter(()), locate=LinePlaces(source.name))
    columns = [cell.strip() for cell in header.cells]
    if len(columns) > MAX_COLUMNS:
        message = f"the first row must name the columns; it has {len(columns):,} cells."
        raise ManifestInvalid([Problem(Place(source.name, header.number), message)])
    while columns and not columns[-1]:
        columns.pop()  # a spreadsheet's empty columns at the right
    body, problems = _body(lines, columns, source.name, form)
    models = {cell for cell in _column(body, columns, "model") if cell} or {DEFAULT_MODEL}
    names = _names(models, checkers)
    wrong = _header_problems(columns, header.number, source.name, names, known)
    usable = _usable(columns, names)
    if names is not None and "prompt" in names and "prompt" not in usable:
        wrong = wrong or [Problem(Place(source.name, header.number), "the column prompt is missing.")]
        body = []  # each of whose rows would only say so again
    rows = (row for line in drained(body) if (row := _row(line, usable)) is not None)
    problems += wrong
    return Draft(rows=rows, locate=LinePlaces(source.name), problems=problems, columns=columns)


def _form(text: str, promised: str, known: frozenset[str]) -> _Form:
    """The delimiter under which the header names the most known columns; in doubt the promised one."""
    sep = _SEP_LINE.match(text)
    if sep:
        return _Form(sep[1], True, 1)
    first = text.lstrip("\n").split("\n", 1)[0][:10_000]
    best = max((promised, *_DELIMITERS), key=lambda mark: len(known & {_bare(cell) for cell in first.split(mark)}))
    return _Form(best, best != "\t" or _tabs_are_quoted(text), 0)


def _bare(cell: str) -> str:
    return cell.strip().strip('"').strip()


def _tabs_are_quoted(text: str) -> bool:
    """Whether quotes round a tab-separated cell are syntax, as spreadsheets write it, or text, as databases do.

    They are text where reading them as syntax fails, or swallows line breaks that separate well-formed rows.
    """
    if '"' not in text:
        return False
    lines = [line for line in text.split("\n") if line.strip()]
    width = lines[0].count("\t")
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter="\t", strict=True))
    except csv.Error:
        return False
    swallowed = any("\n" in cell for row in rows for cell in row)
    return not swallowed or width == 0 or any(line.count("\t") != width for line in lines)


def _lines(source: Source, form: _Form) -> Iterator[_Line]:
    """The rows that hold anything. Raises `ManifestInvalid` where quotes make no sense."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE
    stream = io.StringIO(source.text)
    for _ in range(form.skip):
        stream.readline()
    reader = csv.reader(stream, delimiter=form.delimiter, quoting=quoting, strict=True, skipinitialspace=form.quoted)
    before = form.skip
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            place = Place(source.name, before + 1)
            raise ManifestInvalid([Problem(place, _quote_message(str(error), form.delimiter))]) from None
        if cells is None:
            return
        if any(cells):
            yield _Line(before + 1, cells)
        before = form.skip + reader.line_num


def _quote_message(error: str, delimiter: str) -> str:
    if "field larger" in error:
        return f"a cell is longer than {csv.field_size_limit():,} characters; is a quote left open?"
    if "unexpected end" in error:
        return "a quote is opened in this row and never closed; write a quote inside a quoted cell twice."
    if "expected after" in error:
        name = _DELIMITERS.get(delimiter, shown(delimiter))
        return f"a {name} must follow a closing quote; quote the whole cell, and write a quote inside it twice."
    return f"this row cannot be read: {error}."


def _body(lines: Iterator[_Line], columns: list[str], name: str, form: _Form) -> tuple[list[_Line], list[Problem]]:
    body: list[_Line] = []
    problems: list[Problem] = []
    try:
        for line in lines:
            if len(line.cells) > len(columns) and any(cell.strip() for cell in line.cells[len(columns) :]):
                problems.append(_too_wide(line, columns, name, form))
            body.append(line)
    except ManifestInvalid as error:  # no row after this one can be trusted, but those before it were read
        problems += error.problems
    return body, problems


def _too_wide(line: _Line, columns: list[str], name: str, form: _Form) -> Problem:
    mark = _DELIMITERS.get(form.delimiter, shown(form.delimiter))
    has = f"{len(line.cells)} cells, but the header names {len(columns)} column{'' if len(columns) == 1 else 's'}"
    way_out = f"put quotes round a cell that holds a {mark}" if form.quoted else f"a cell cannot hold a {mark}"
    return Problem(Place(name, line.number, len(columns) + 1), f"this row has {has}; {way_out}.")


def _column(body: list[_Line], columns: list[str], name: str) -> set[str]:
    if name not in columns:
        return set()
    index = columns.index(name)
    return {line.cells[index].strip() if index < len(line.cells) else "" for line in body}


def _names(models: set[str], checkers: Checkers) -> frozenset[str] | None:
    """The parameters that any of these models takes; `None` where one of them takes, or may take, others as well."""
    found: set[str] = set()
    for model in models:
        checks = checkers.get(model)
        if checks is None or checks.names is None:
            return None
        found |= checks.names
    return frozenset(found)


def _header_problems(
    columns: list[str], line: int, name: str, names: frozenset[str] | None, known: frozenset[str]
) -> list[Problem]:
    if names is not None and not any(column in known or _meant(column, names) for column in columns):
        message = "the first row must name the columns, such as prompt,aspect_ratio; it names none that is known."
        return [Problem(Place(name, line, shown(columns[0]) if columns else 1), message)]
    problems = []
    for index, column in enumerate(columns):
        if not column:
            problems.append(Problem(Place(name, line, index + 1), "a column without a name."))
        elif column in columns[:index]:
            first = columns.index(column) + 1
            message = f"the column {shown(column)} stands twice: as number {first} and as number {index + 1}."
            problems.append(Problem(Place(name, line, column), message))
        elif names is not None and column not in names and column not in OWN_COLUMNS:
            message = f"unknown column {shown(column)}."
            problems.append(Problem(Place(name, line, shown(column)), message, _meant(column, names)))
    return problems


def _meant(column: str, names: frozenset[str]) -> str | None:
    return nearest(column, sorted(names | set(OWN_COLUMNS)))


def _usable(columns: list[str], names: frozenset[str] | None) -> list[str | None]:
    """The parameter in each column, or `None`. Unknown columns are told once, at the header, not in every row: what one
    must have been meant for is still checked under that name, and the others are left out."""
    found: list[str | None] = []
    for column in columns:
        unknown = names is not None and column not in names and column not in OWN_COLUMNS
        name = _meant(column, names or frozenset()) if unknown else column
        usable = name and name not in found and not (unknown and name in columns)
        found.append(name if usable else None)
    return found


def _row(line: _Line, usable: list[str | None]) -> Row | None:
    params: dict[str, object] = {
        name: cell for name, cell in zip(usable, line.cells, strict=False) if cell and name and not cell.isspace()
    }
    given_id, model = params.pop("id", None), params.pop("model", None)
    return Row(line.number, params, given_id, model) if params or given_id or model else None
