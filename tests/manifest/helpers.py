"""Ways to write a manifest down and look at what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.errors import ManifestInvalid
from batchgen.manifest import LoadOptions, Manifest, load
from batchgen.records import Run

FILE = "batch"


def loaded(folder: Path, kind: str, text: str | bytes, options: LoadOptions | None = None) -> Manifest:
    """The manifest `batch.KIND` with this text."""
    path = folder / f"{FILE}.{kind}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, options or LoadOptions())


def runs(folder: Path, kind: str, text: str | bytes, options: LoadOptions | None = None) -> tuple[Run, ...]:
    return loaded(folder, kind, text, options).runs


def inputs(folder: Path, kind: str, text: str | bytes, options: LoadOptions | None = None) -> list[dict[str, object]]:
    return [dict(run.input) for run in runs(folder, kind, text, options)]


def problems(folder: Path, kind: str, text: str | bytes, options: LoadOptions | None = None) -> list[str]:
    """Every problem as a user reads it, without the folder."""
    with pytest.raises(ManifestInvalid) as caught:
        loaded(folder, kind, text, options)
    return [str(problem).replace(f"{folder}/{FILE}.{kind}:", "") for problem in caught.value.problems]
