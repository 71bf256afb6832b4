"""The last resort for a run's id that the journal did not take: another file, wherever one can be written."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from batchgen.store.files import write_all
from batchgen.store.paths import StatePaths


def save_id(paths: StatePaths, name: str, run_id: str, at: str) -> Path | None:
    """Appends the id to an emergency file beside the state, else in the folder for temporary files.

    Returns the file, or None where neither can be written. Raises nothing: the caller shows the id as well.
    """
    line = json.dumps({"id": name, "run_id": run_id, "at": at}, ensure_ascii=False) + "\n"
    for path in (paths.emergency, Path(tempfile.gettempdir()) / paths.emergency.name):
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
            try:
                write_all(fd, line.encode("utf-8", "surrogatepass"))
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError:
            continue
        return path
    return None
