"""Writing so that a power cut leaves either the old file or the new one, never a part of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
