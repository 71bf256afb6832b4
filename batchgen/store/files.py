"""Writing so that a power cut leaves either the old file or the new one, never a part of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Makes renames and new names in the folder last. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte, however many calls the system takes for it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def remove_leftovers(*paths: Path) -> None:
    """Takes away the temporary files of writers that were killed while they replaced one of these files.

    To be called only by the one process that may write them. What cannot be removed does no harm and stays.
    """
    for path in paths:
        start = f".{path.name}."
        with suppress(OSError):
            for file in path.parent.iterdir():
                if file.name.startswith(start) and re.fullmatch(r"[0-9]+\.tmp", file.name[len(start) :]):
                    file.unlink(missing_ok=True)


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Puts a whole new file in the place of `path`: temporary file, fsync, rename, fsync of the folder.

    Raises OSError, and then the old file still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        try:
            for part in parts:
                write_all(fd, part)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)
