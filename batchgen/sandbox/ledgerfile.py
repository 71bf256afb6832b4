"""The ledger on disk: JSON Lines, only ever appended to, one write a line, so that a killed rehearsal goes on."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from batchgen.errors import StateDamaged, StateLocked, UsageProblem
from batchgen.sandbox.ledger import Entry, TopUp, from_json, to_json

NAME = "ledger.jsonl"


class LedgerFile:
    """The ledger's file in the service's folder, held against other processes while it is open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lock = FileLock(folder / f"{NAME}.lock", timeout=0, thread_local=False)

    def __enter__(self) -> Self:
        """Raises `errors.StateLocked` when another process serves the folder, `errors.UsageProblem` if it is no use."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            # Unbuffered: a line is in the system's hands, and outlives this process, when `write` returns.
            self._file = self._path.open("ab", buffering=0)
        except Timeout as problem:
            raise StateLocked(f"Another rehearsal service works in {self._path.parent}.") from problem
        except OSError as problem:
            self._lock.release()
            raise UsageProblem(f"The folder {self._path.parent} cannot be used: {problem.strerror}.") from problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._lock.release()

    def load(self) -> list[Entry | TopUp]:
        """All that was written. A torn last line is cut off; other damage raises `errors.StateDamaged`."""
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        items: list[Entry | TopUp] = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                items.append(from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError, UsageProblem) as problem:
                hint = f"Move {self._path.parent} away to begin a new rehearsal."
                raise StateDamaged(f"{self._path}:{number} is not what was written.", hint) from problem
        return items

    def append(self, item: Entry | TopUp) -> None:
        """Write one line; raises OSError when the disk does not take it, and then nothing of it stays."""
        line = json.dumps(to_json(item), ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        before = self._file.seek(0, os.SEEK_END)
        if self._file.write(line) != len(line):
            self._file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
