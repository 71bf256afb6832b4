"""The values that the parts of `batchgen.manifest` hand to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from batchgen.records import Place, Problem, Run

T = TypeVar("T")

Path_ = tuple[str | int, ...]
"""The way to a value inside an input: names of parameters, and positions in lists from 0."""

NO_RUNS = "the manifest holds no runs, so there is nothing to render."

SUGGESTED = 1000
"""After so many problems none gets a suggestion any more: each costs a look at all that could have been meant."""

RESERVED = ("id", "model", "input")
"""What a run may hold beside its parameters."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a manifest is checked. A schema is for the model named with it, or, with `None`, for every model not bundled.

    `unvalidated` lets runs pass unchecked whose model is neither bundled nor given a schema.
    """

    schemas: tuple[tuple[str | None, Path], ...] = ()
    unvalidated: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest in which nothing is wrong. `settings` holds checked values under the names of the `settings` block:
    `run_timeout` in seconds, `max_cost` in dollars, `rate_limit` as "N/SECONDS". `output_dir` is as written, and
    relative to the manifest. `sha256` is that of the file's bytes."""

    path: Path
    sha256: str
    runs: tuple[Run, ...]
    settings: Mapping[str, object]
    output_dir: str | None


class Text(str):
    """A text with the place where it was written, both counted from 1. It is an ordinary string to everyone else."""

    __slots__ = ("column", "line")
    line: int
    column: int


class Plain(Text):
    """A plain (unquoted) YAML scalar: only its text, until a schema says whether it is a number, a boolean or words."""

    __slots__ = ()


NULLS = frozenset(("", "~", "null", "Null", "NULL"))
"""The plain scalars that are null in YAML 1.2."""


def is_absent(value: object) -> bool:
    """Whether a value says that there is none: JSON's null, or YAML's, also as nothing at all after the colon."""
    return value is None or (type(value) is Plain and value in NULLS)


class Row(NamedTuple):
    """One run as it was written. `origin` is the reader's own note of where its values stood."""

    line: int
    params: Mapping[str, object]
    id: object = None
    model: object = None
    origin: object = None


class Fault(NamedTuple):
    """Something wrong in one row's input, before its place in the file is known.

    `at_key`: the name is wrong, not the value under it. `missing`: the parameter that is not there.
    """

    path: Path_
    message: str
    suggestion: str | None = None
    at_key: bool = False
    missing: str | None = None


class Locator(Protocol):
    """Finds the place in the file of something in a row. `("id",)` and `("model",)` are the run's own id and model."""

    def __call__(self, row: Row, path: Path_, at_key: bool = False, /) -> Place: ...


@dataclass(frozen=True, slots=True)
class LinePlaces:
    """The locator of a format with a run on each line: its places are a line and the name of a parameter."""

    file: str
    named: bool = True

    def __call__(self, row: Row, path: Path_, _at_key: bool = False, /) -> Place:
        """The row's line, with the parameter's name for a column where the format has names."""
        return Place(self.file, row.line, str(path[0]) if path and self.named else 1)


def drained(items: list[T]) -> Iterator[T]:
    """The items in their order, each let go of as it is handed out: a large file need not be in memory twice over."""
    items.reverse()
    while items:
        yield items.pop()


@dataclass(frozen=True, slots=True)
class Draft:
    """What a reader makes of a file: rows not yet checked, and the problems of the file's form.

    `rows` can be read once, and `problems` are complete when they were.
    """

    rows: Iterator[Row]
    locate: Locator
    problems: Sequence[Problem] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)
    default_model: str | None = None
    default_model_place: Place | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    output_dir: str | None = None
    columns: Sequence[str] = ()
    """A table's columns in their order, for sorting problems."""
