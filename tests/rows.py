"""The mark `row`: a test over a real socket names the rows of the verdict tables that it proves.

`@pytest.mark.row("POST", "402")`, with one or more names of `POST`, `GET` or `download`. The test fails where a row
that it names has decided nothing while it ran, so that no test carries a row's name in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from batchgen.core import transfer, verdict

Name = tuple[str, str]


def tables() -> dict[str, tuple[Any, ...]]:
    """The three tables of the program."""
    return {"POST": verdict.POST_TABLE, "GET": verdict.GET_TABLE, "download": transfer.TABLE}


def all_rows() -> set[Name]:
    """The names of all rows, each with its table's."""
    return {(table, row.name) for table, rows in tables().items() for row in rows}


def names_in(marks: Iterable[pytest.Mark | pytest.MarkDecorator]) -> set[Name]:
    """The rows that these marks name."""
    return {(mark.args[0], name) for mark in marks if mark.name == "row" for name in mark.args[1:]}


def named_by(modules: Iterable[ModuleType]) -> set[Name]:
    """All rows that the tests of these modules name, be it for one set of parameters alone."""
    marks = [
        mark
        for module in modules
        for name, test in vars(module).items()
        if name.startswith("test_")
        for mark in getattr(test, "pytestmark", ())
    ]
    cases = [case for mark in marks if mark.name == "parametrize" for case in mark.args[1]]
    return names_in(marks) | names_in(mark for case in cases for mark in getattr(case, "marks", ()))


def watch(monkeypatch: pytest.MonkeyPatch) -> set[Name]:
    """The rows that have decided something from now on; it grows."""
    decided: set[Name] = set()

    def noting(table: str, row: Any, decide: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            decided.add((table, row.name))
            return decide(*given)

        return noted

    posts = tuple(replace(row, verdict=noting("POST", row, row.verdict)) for row in verdict.POST_TABLE)
    gets = tuple(replace(row, verdict=noting("GET", row, row.verdict)) for row in verdict.GET_TABLE)
    downloads = tuple(replace(row, then=noting("download", row, row.then)) for row in transfer.TABLE)
    monkeypatch.setattr(verdict, "POST_TABLE", posts)
    monkeypatch.setattr(verdict, "GET_TABLE", gets)
    monkeypatch.setattr(transfer, "TABLE", downloads)
    return decided


def proven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Holds a test to the rows that it names."""
    named = names_in(request.node.iter_markers("row"))
    if not named:
        yield
        return
    assert named <= all_rows(), f"no such row: {named - all_rows()}"
    decided = watch(monkeypatch)
    yield
    assert named <= decided, f"named, but never decided: {named - decided}; decided: {decided}"
