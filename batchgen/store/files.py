"""Writing so that a power cut leaves either the old file or the new one, never a part of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# A folder that may not be read is not ours and was there before; and some file systems cannot sync a folder.
NOT_TO_BE_SYNCED = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF})


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


def make_folder(folder: Path) -> None:
    """Creates the folder and those above it where they are missing, so that they last. Raises OSError.

    Those that were there are synced as well: whoever made them may have been killed before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for parent in folder.absolute().parents:
        try:
            fsync_folder(parent)
        except OSError as problem:
            if problem.errno not in NOT_TO_BE_SYNCED:
                raise


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Puts a whole new file in the place of `path`: temporary file, fsync, rename, fsync of the folder.

    Raises OSError; then either of the two files stands, whole.
    """
    put_in_place(write_beside(path, parts), path)


def write_beside(path: Path, parts: Iterable[bytes]) -> Path:
    """Writes what shall stand at `path` to a temporary file that lasts. Raises OSError; then nothing has changed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        try:
            for part in parts:
                write_all(fd, part)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        _drop(temporary)
        raise
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Gives what `write_beside` wrote its name. Raises OSError; then nobody knows which of the two files will last."""
    try:
        temporary.replace(path)
    except BaseException:
        _drop(temporary)
        raise
    fsync_folder(path.parent)


def _drop(temporary: Path) -> None:
    with suppress(OSError):  # what cannot be removed does no harm; why it was to be removed matters more
        temporary.unlink(missing_ok=True)
