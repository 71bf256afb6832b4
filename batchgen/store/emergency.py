"""The last resort for a run's id that the journal did not take: another file, wherever one can be written."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from batchgen.store.files import fsync_folder, write_all
from batchgen.store.paths import StatePaths


def save_id(paths: StatePaths, name: str, run_id: str, at: str) -> Path | None:
    """Appends the id to an emergency file beside the state, else in the folder for temporary files.

    Returns the file, or None where neither can be written. Raises nothing: the caller shows the id as well.
    """
    entry = {"id": name, "run_id": run_id, "at": at, "state": str(paths.state.absolute())}
    line = json.dumps(entry) + "\n"  # plain ASCII, which any tool reads
    for folder in (_beside_state, _for_temporary_files):
        try:
            path = folder(paths) / paths.emergency.name
            _append(path, line.encode())
        except OSError:
            continue
        return path
    return None


def _beside_state(paths: StatePaths) -> Path:
    return paths.state.parent


def _for_temporary_files(_paths: StatePaths) -> Path:
    # Looked up only when it is needed: it raises where every disk is full, and the id must not be lost by that.
    return Path(tempfile.gettempdir())


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    fsync_folder(path.parent)
