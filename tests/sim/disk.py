"""The disk of the simulated machine: real files in a folder, and what of them a kill or a power cut leaves."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random

_fsync, _write = os.fsync, os.write


class Disk:
    """One folder at a time. A process that is killed keeps its folder; the machine goes on with a copy of it as it was
    at that moment, so that whatever a dead process still unwinds can change nothing."""

    def __init__(self, root: Path, moment: Callable[[str], None]) -> None:
        self._root = root
        self._moment = moment  # is told before and after each write and fsync
        self._number = 0
        self.folder = self._fresh()
        self.failing = ""  # "journal": its writes; "sync": its fsync; "all": every write in the folder
        self._durable: dict[int, bytes] = {}

    def _fresh(self) -> Path:
        folder = self._root / str(self._number)
        folder.mkdir()
        self._number += 1
        return folder

    # ------------------------------------------------------------------------------- in the place of os.write, os.fsync

    def write(self, fd: int, data: bytes) -> int:
        if self._fails(fd, "journal"):
            raise OSError(errno.ENOSPC, "No space left on device")
        self._moment("write")
        return _write(fd, data)

    def fsync(self, fd: int) -> None:
        """What the file holds now outlives a power cut. No real disk is waited for."""
        if self._fails(fd, "sync"):
            raise OSError(errno.EIO, "Input/output error")
        self._moment("sync")
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            self._durable[found.st_ino] = Path(f"/dev/fd/{fd}").read_bytes()
        else:
            kept = {path.lstat().st_ino for path in self._files()}
            self._durable = {inode: data for inode, data in self._durable.items() if inode in kept}
        self._moment("synced")

    def _fails(self, fd: int, mode: str) -> bool:
        if not self.failing or self.failing not in (mode, "all"):
            return False
        inode = os.fstat(fd).st_ino
        files = self._files() if self.failing == "all" else [p for p in self._files() if p.name.endswith(".journal")]
        return any(path.lstat().st_ino == inode for path in files)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def durable(self, path: Path) -> bytes:
        """What of this file a power cut would leave."""
        try:
            return self._durable.get(path.lstat().st_ino, b"")
        except FileNotFoundError:
            return b""

    # ------------------------------------------------------------------------------------------------------- stops

    def stop(self, power: Random | None) -> None:
        """The process is gone: all that it wrote is there; or the power is, and with it what was not synced."""
        before, after = self._files(), self._fresh()
        old, durable = self.folder, self._durable
        self.folder, self._durable, self.failing = after, {}, ""
        for path in before:
            if path.name.endswith(".lock"):
                continue
            data, to = path.read_bytes(), after / path.relative_to(old)
            if power:
                data = _left(data, durable.get(path.lstat().st_ino, b""), power)
            to.parent.mkdir(exist_ok=True)
            to.write_bytes(data)
            self._durable[to.lstat().st_ino] = data


def _left(data: bytes, durable: bytes, rng: Random) -> bytes:
    """What was synced, and of a tail that was not any part, perhaps with zeros in its place."""
    if not data.startswith(durable):
        return durable
    tail = data[len(durable) :]
    cut = tail[: rng.randrange(len(tail) + 1)]
    return durable + (b"\0" * len(cut) if rng.random() < 0.3 else cut)
