"""The file that a video comes into: gathered writes, a running hash and a running walk over its boxes.

aiofiles hands each write to a thread, which costs about 150 µs and goes on after a cancellation. So about a mebibyte is
gathered before each write, and writes and the closing are shielded: when this returns, no thread touches the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiofiles
import anyio
import anyio.to_thread

from batchgen.core.transfer_terms import Container, Film
from batchgen.service.boxes import BoxWalk

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedIOBase

GATHERED_BYTES = 1024 * 1024


class PartFailed(Exception):
    """The part cannot be written; `code` is the `errno`, and the text is for a person."""

    def __init__(self, path: Path, problem: OSError) -> None:
        super().__init__(f"{path} cannot be written: {problem.strerror or problem}")
        self.code = problem.errno or 0


class Contents:
    """What is known of a part's bytes: how many, their SHA-256 so far, and what film they are."""

    def __init__(self) -> None:
        self.bytes = 0
        self.digest = hashlib.sha256()
        self.walk = BoxWalk()

    @property
    def film(self) -> Film:
        """What the part would be, were it to end here."""
        return self.walk.film

    @property
    def is_alien(self) -> bool:
        """Is it certain by now that this is no video?"""
        return self.walk.container is Container.OTHER


class PartFile:
    """An open part. Made by `open_part`; every method raises PartFailed where the file system refuses."""

    def __init__(self, path: Path, file: AsyncBufferedIOBase, contents: Contents) -> None:
        self.path = path
        self.contents = contents
        self._file = file
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0

    async def add(self, data: bytes) -> bool:
        """Take the next bytes; True where that led to a write."""
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        self.contents.walk.feed(data)
        self.contents.bytes += len(data)
        if self._gathered_bytes < GATHERED_BYTES:
            return False
        await self._write_gathered()
        return True

    async def flush(self) -> None:
        """Hand every byte to the system."""
        await self._write_gathered()
        with anyio.CancelScope(shield=True), _failures(self.path):
            await self._file.flush()

    async def restart(self) -> None:
        """Drop all bytes."""
        if not self.contents.bytes:
            return
        self._gathered, self._gathered_bytes = [], 0
        self.contents = Contents()
        with anyio.CancelScope(shield=True), _failures(self.path):
            await self._file.seek(0)
            await self._file.truncate(0)

    async def make_durable(self) -> None:
        """Return once every byte is on the disk itself."""
        await self.flush()
        with anyio.CancelScope(shield=True), _failures(self.path):
            await anyio.to_thread.run_sync(os.fsync, self._file.fileno())

    async def _write_gathered(self) -> None:
        block = b"".join(self._gathered)
        self._gathered, self._gathered_bytes = [], 0
        self.contents.digest.update(block)
        with anyio.CancelScope(shield=True), _failures(self.path):
            await self._file.write(block)


@contextlib.asynccontextmanager
async def open_part(path: Path, known: Contents | None) -> AsyncIterator[PartFile]:
    """The part at `path`, positioned behind what is `known` of it, or else new and empty. Closed on any way out.

    A part that an earlier process left is dropped and not written over: after a crash it can be a second name (a hard
    link) of a video that is already published. Raises PartFailed.
    """
    with _failures(path):
        resumes = known is not None and await anyio.to_thread.run_sync(_holds, path, known.bytes)
        if not resumes:
            await anyio.to_thread.run_sync(lambda: path.unlink(missing_ok=True))
        with anyio.CancelScope(shield=True):  # a file that is opened while a cancellation comes would stay open
            file = await (aiofiles.open(path, "r+b") if resumes else aiofiles.open(path, "xb"))
    try:
        if known is not None and resumes:
            with _failures(path):
                await file.seek(known.bytes)
        yield PartFile(path, file, known if known is not None and resumes else Contents())
    finally:
        with anyio.CancelScope(shield=True), _failures(path):
            await file.close()


async def remove_part(path: Path) -> None:
    """Remove the part if it is there, even while a cancellation waits. What cannot be removed is left."""
    with anyio.CancelScope(shield=True), contextlib.suppress(OSError):
        await anyio.to_thread.run_sync(lambda: path.unlink(missing_ok=True))


def _holds(path: Path, size: int) -> bool:
    return not path.is_symlink() and path.is_file() and path.stat().st_size == size


@contextlib.contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise PartFailed(path, problem) from problem
