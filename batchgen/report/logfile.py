"""`--log-file`: what the engine tells, as JSON Lines. Holds no keys, no prompts and no addresses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchgen.engine.notices import Changed, Held, Lost, Notice, Received, Stopping
from batchgen.errors import UsageProblem
from batchgen.records import Failure, Record, Status
from batchgen.report.words import harmless

# Signed addresses give their holder the video, and a server may quote a key or an address in its words.
_ADDRESS = re.compile(r"\bhttps?://\S+|\bdata:\S+", re.IGNORECASE)
_KEY = re.compile(r"\bsk-[^\s\"',;]+|\bBearer\s+\S+", re.IGNORECASE)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LogFile:
    """Appends one line for each notice but those on single bytes. Raises UsageProblem where it cannot be opened.

    A log that can no longer be written to does not end a batch: it ends, and `problem` says why.
    """

    def __init__(self, path: Path | str, wall: Callable[[], datetime] = _utc_now) -> None:
        self.problem: str | None = None
        self._wall = wall
        try:
            self._file = Path(path).open("a", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
            raise UsageProblem(
                f"The log file {str(path)!r} cannot be opened: {reason}.", "Give another file with --log-file."
            ) from problem

    def __call__(self, notice: Notice) -> None:
        """Writes the notice down."""
        if self.problem or isinstance(notice, Received):
            return
        line = {"at": self._wall().isoformat(timespec="milliseconds"), **notice_json(notice)}
        try:
            self._file.write(harmless(json.dumps(line, ensure_ascii=False)) + "\n")
        except (OSError, ValueError) as problem:
            self.problem = f"The log file ends early: {problem}."

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as problem:  # a full disk shows itself when the rest is flushed
            self.problem = self.problem or f"The log file ends early: {problem}."


def notice_json(notice: Notice) -> dict[str, Any]:
    """A notice as a JSON object, its kind first. Times in seconds; `null` is a pause without an end."""
    match notice:
        case Changed(record, before):
            return _changed(record, before)
        case Received(name, received, total):
            return {"notice": "received", "id": name, "bytes": received, "total": total}
        case Held(what, reason, seconds):
            pause = round(seconds, 3) if math.isfinite(seconds) else None
            return {"notice": "held", "what": what, "seconds": pause, "reason": _failure(reason)}
        case Stopping(reason):
            return {"notice": "stopping", "reason": _failure(reason)}
        case Lost(name, run_id, where):
            return {"notice": "lost", "id": name, "run_id": run_id, "kept_in": where}


def _changed(record: Record, before: Status) -> dict[str, Any]:
    return {
        "notice": "changed",
        "id": record.id,
        "from": str(before),
        "to": str(record.status),
        "run_id": record.run_id,
        "key": record.key,
        "cost_micro_usd": record.cost_micro_usd,
        "error": _failure(record.error) if record.error else None,
        "files": [{"path": file.path, "bytes": file.bytes} for file in record.files],
    }


def _failure(failure: Failure) -> dict[str, str]:
    return {"code": failure.code, "message": redacted(failure.message)}


def redacted(text: str) -> str:
    """The text without keys and without addresses."""
    return _KEY.sub("[key]", _ADDRESS.sub("[address]", text))
