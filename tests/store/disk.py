"""A disk that can fail and lose power: the system's calls below one folder, seen, counted and spoiled.

Every call is done for real, so that the program works on real files, and is noted in a model of what the disk itself
holds: the bytes of a file last only once the file was synced, and a new, renamed or removed name only once its folder
was. After a power cut, `Disk.after` writes down one of the trees that a new start may find.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiofiles.threadpool
import pytest

SECTOR = 512
_TMPFILE = getattr(os, "O_TMPFILE", -1)
CALLS = ("open", "write", "fsync", "ftruncate", "replace", "rename", "link", "unlink", "mkdir", "close")
ERRORS = ("EIO", "ENOSPC", "EROFS", "EMFILE", "EINTR", "EDQUOT", "EACCES")


class Stop(Exception):
    """The process ends here: the power is cut, or it was killed."""


@dataclass(frozen=True)
class Call:
    """A call that is about to be made; counted from 0."""

    number: int
    name: str
    path: Path


Fault = Exception | int | None  # an error; the end; so many bytes at most are written; or nothing
Fail = Callable[[Call], Fault]


def error(name: str) -> OSError:
    """The error that the system calls so."""
    code = getattr(errno, name)
    return OSError(code, os.strerror(code))


@dataclass(eq=False)
class File:
    """A file's bytes as programs see them, and as they are on the disk itself."""

    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""

    def write(self, at: int, data: bytes) -> None:
        self.data.extend(bytes(max(0, at - len(self.data))))
        self.data[at : at + len(data)] = data


@dataclass(frozen=True)
class Change:
    """A change of names in one folder: `gone` is no longer there, and `new` is `what` (None: a folder)."""

    gone: Path | None
    new: Path | None
    what: File | None

    def apply(self, names: dict[Path, File | None]) -> None:
        if self.gone:
            names.pop(self.gone, None)
        if self.new:
            names[self.new] = self.what


class Loss:
    """What a stop leaves of changes that were not synced. By itself: everything, as after a kill."""

    def keeps(self, _change: Change) -> bool:
        return True

    def bytes_of(self, file: File) -> bytes:
        return bytes(file.data)


class Cut(Loss):
    """Nothing that was not synced is left."""

    def keeps(self, _change: Change) -> bool:
        return False

    def bytes_of(self, file: File) -> bytes:
        return file.durable


class Names(Cut):
    """Names are left, and what is in the files is not: as on a file system that only keeps its own books."""

    def keeps(self, _change: Change) -> bool:
        return True


class Zeros(Names):
    """Names and lengths are left, and zeros where the bytes were not synced."""

    def bytes_of(self, file: File) -> bytes:
        length = len(file.data)
        kept = file.durable[:length].ljust(length, b"\0")
        return bytes(k if k == d else 0 for k, d in zip(kept, file.data, strict=True))


class Mixed(Loss):
    """Any of the changes to names, and any of the sectors: by chance."""

    def __init__(self, rng: Random) -> None:
        self._rng, self._likely = rng, rng.choice((0.1, 0.5, 0.9))

    def keeps(self, _change: Change) -> bool:
        return self._rng.random() < self._likely

    def bytes_of(self, file: File) -> bytes:
        if file.data == file.durable:
            return file.durable
        lengths = sorted((len(file.durable), len(file.data)))
        length = self._rng.choice((*lengths, self._rng.randint(*lengths)))
        out = bytearray(file.durable[:length].ljust(length, b"\0"))
        for at in range(0, length, SECTOR):
            new = file.data[at : min(at + SECTOR, length)]
            if out[at : at + SECTOR] != new and self._rng.random() < self._likely:
                out[at : at + len(new)] = new
        return bytes(out)


class Disk:
    """The calls below `root`: `fail` says what becomes of each; of paths that `leave_out` names it knows nothing."""

    def __init__(self, root: Path, fail: Fail, leave_out: Callable[[Path], bool] = lambda _path: False) -> None:
        self.root, self.fail, self._leave_out = root, fail, leave_out
        self.log: list[Call] = []
        self.dead = False
        self.open_files: dict[int, tuple[Path, File | None]] = {}
        self.names: dict[Path, File | None] = {}
        self._lock = threading.RLock()
        self._real: dict[str, Any] = {name: getattr(os, name) for name in CALLS}
        self._real_open = io.open
        for path in (root, *root.rglob("*")):
            if path.is_dir():
                self.names[path] = None
            elif self._seen(path):
                data = path.read_bytes()
                self.names[path] = File(bytearray(data), data)
        self.durable = dict(self.names)
        self.changes: list[Change] = []

    @contextmanager
    def under(self) -> Iterator[pytest.MonkeyPatch]:
        """The program runs on this disk. At the end, what it left open is closed."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, lambda *args, _name=name, **more: self._called(_name, *args, **more))
            patch.setattr(io, "open", self._opened)
            patch.setattr(aiofiles.threadpool, "sync_open", self._opened)
            try:
                yield patch
            finally:
                for fd in [*self.open_files]:
                    self._real["close"](fd)
                self.left_open = [path.name for path, _ in self.open_files.values()]
                self.open_files.clear()

    def after(self, loss: Loss, to: Path) -> Path:
        """The tree below `to` that a new start finds after that loss."""
        with self._lock:
            names = dict(self.durable)
            for change in self.changes:
                if loss.keeps(change):
                    change.apply(names)
            to.mkdir()
            contents = {id(file): loss.bytes_of(file) for file in names.values() if file is not None}
            for path in sorted(names, key=lambda path: len(path.parts)):
                target, file = to / path.relative_to(self.root), names[path]
                if not target.parent.is_dir():
                    continue  # the folder that it was in did not last
                if file is not None:
                    target.write_bytes(contents[id(file)])
                elif path != self.root:
                    target.mkdir()
        return to

    # ------------------------------------------------------------------------------------------------- the calls

    def _seen(self, path: Path) -> bool:
        return (path == self.root or self.root in path.parents) and not (
            path.name.endswith(".lock") or path.name.startswith(".batchgen-") or self._leave_out(path)
        )

    def _called(self, name: str, *args: Any, **more: Any) -> Any:
        with self._lock:
            if isinstance(args[0], int):
                path = self.open_files[args[0]][0] if args[0] in self.open_files else None
            else:
                path = Path(args[0]).absolute()
            without_a_name = name == "open" and args[1] & _TMPFILE == _TMPFILE
            if path is None or not self._seen(path) or without_a_name:
                return self._real[name](*args, **more)
            call = Call(len(self.log), name, path)
            fault = Stop() if self.dead else self.fail(call)
            self.log.append(call)
            if isinstance(fault, Exception):
                self._fails(call, fault, args)
            return getattr(self, f"_{name}", self._other)(call, fault, args, more)

    def _fails(self, call: Call, fault: Exception, args: tuple[Any, ...]) -> None:
        """What a call that fails does all the same: half a write, and a close that reports an error has closed."""
        was_dead, self.dead = self.dead, self.dead or isinstance(fault, Stop)
        if call.name == "write" and not was_dead:
            self._write(call, len(args[1]) // 2, args, {})
        elif call.name == "close":
            self._close(call, None, args, {})
        raise fault

    def _open(self, call: Call, _fault: Fault, args: tuple[Any, ...], more: dict[str, Any]) -> int:
        new = call.path not in self.names
        fd: int = self._real["open"](*args, **more)
        file = self.names.get(call.path)
        if new:
            file = File()
            self._change(Change(None, call.path, file))
        elif file is not None and args[1] & os.O_TRUNC:
            file.data.clear()
        self.open_files[fd] = (call.path, file)
        return fd

    def _write(self, _call: Call, fault: Fault, args: tuple[Any, ...], _more: dict[str, Any]) -> int:
        fd, data = args[0], bytes(args[1])
        if isinstance(fault, int):
            data = data[: max(fault, 1)]
        written: int = self._real["write"](fd, data)
        file = self.open_files[fd][1]
        assert file is not None
        file.write(os.lseek(fd, 0, os.SEEK_CUR) - written, data[:written])
        return written

    def _fsync(self, call: Call, _fault: Fault, args: tuple[Any, ...], _more: dict[str, Any]) -> None:
        file = self.open_files[args[0]][1]
        if file is not None:
            file.durable = bytes(file.data)
            return
        for change in [c for c in self.changes if call.path in {p.parent for p in (c.gone, c.new) if p}]:
            change.apply(self.durable)
            self.changes.remove(change)

    def _ftruncate(self, _call: Call, _fault: Fault, args: tuple[Any, ...], _more: dict[str, Any]) -> None:
        self._real["ftruncate"](*args)
        file = self.open_files[args[0]][1]
        assert file is not None
        file.data[:] = file.data[: args[1]].ljust(args[1], b"\0")

    def _close(self, _call: Call, _fault: Fault, args: tuple[Any, ...], _more: dict[str, Any]) -> None:
        self._real["close"](args[0])
        self.open_files.pop(args[0], None)

    def _replace(self, call: Call, _fault: Fault, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        self._real["replace"](*args, **more)
        self._change(Change(call.path, Path(args[1]).absolute(), self.names[call.path]))

    _rename = _replace

    def _link(self, call: Call, _fault: Fault, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        self._real["link"](*args, **more)
        self._change(Change(None, Path(args[1]).absolute(), self.names[call.path]))

    def _unlink(self, call: Call, _fault: Fault, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        self._real["unlink"](*args, **more)
        self._change(Change(call.path, None, None))

    def _mkdir(self, call: Call, _fault: Fault, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        self._real["mkdir"](*args, **more)
        self._change(Change(None, call.path, None))

    def _other(self, call: Call, _fault: Fault, _args: tuple[Any, ...], _more: dict[str, Any]) -> None:
        raise AssertionError(f"{call.name} is not modelled")

    def _change(self, change: Change) -> None:
        change.apply(self.names)
        self.changes.append(change)

    def _opened(self, file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        """`open` for what is written below the folder: its buffers, over calls that are seen."""
        writes = isinstance(file, (str, os.PathLike)) and "b" in mode and set(mode) & set("wxa+")
        if not writes or more.get("opener"):
            return self._real_open(file, mode, *args, **more)
        path = Path(file).absolute()
        if not self._seen(path):
            return self._real_open(file, mode, *args, **more)
        flags = {"w": os.O_CREAT | os.O_TRUNC, "x": os.O_CREAT | os.O_EXCL, "a": os.O_CREAT | os.O_APPEND, "r": 0}
        raw = _Raw(os.open(path, flags[mode[0]] | (os.O_RDWR if "+" in mode else os.O_WRONLY), 0o666), mode)
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)


class _Raw(io.RawIOBase):
    """A file by its descriptor whose every call goes through `os`, and so through the disk."""

    def __init__(self, fd: int, mode: str) -> None:
        self._fd, self._mode = fd, mode

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return "+" in self._mode

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return os.write(self._fd, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._fd, offset, whence)

    def truncate(self, size: int | None = None) -> int:
        size = os.lseek(self._fd, 0, os.SEEK_CUR) if size is None else size
        os.ftruncate(self._fd, size)
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._fd)
