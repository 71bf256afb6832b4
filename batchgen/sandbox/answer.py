"""What goes over the wire, as values: an answer with its misbehaviour, and what a fault may look at to change it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NOT_EVEN_THE_HEAD = -1
JSON_TYPE = "application/json"


class Framing(StrEnum):
    """How the client learns where the body ends."""

    LENGTH = "length"  # Content-Length
    CHUNKED = "chunked"  # Transfer-Encoding: chunked
    CLOSE = "close"  # neither: the end of the connection


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `delay` is in seconds, `pace` in bytes a second.

    `cut` is the number of body bytes after which the connection ends early, with a reset where `reset` is true;
    `NOT_EVEN_THE_HEAD` ends it before the first byte. A length is announced for the whole body all the same.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = JSON_TYPE
    delay: float = 0.0
    cut: int | None = None
    reset: bool = False
    pace: float | None = None
    framing: Framing = Framing.LENGTH

    @property
    def plain(self) -> bool:
        """Whether an ordinary web server could send it: only what is not needs the bare connection."""
        return self.cut is None and self.pace is None and self.framing is not Framing.CLOSE


def json_answer(status: int, document: object, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer that carries a JSON document."""
    return Answer(status, json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace"), headers)


def error(status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error answer in the service's shape: `{"error": {"message": ..., "code": ...}}`."""
    return json_answer(status, {"error": {"message": message, "code": code}}, headers)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a fault may look at. `now` is seconds since the epoch, `owed` micro-dollars.

    `owed` is what the key's runs have cost, less refunds and top-ups; `seen` counts earlier requests of the same
    stage for the same run. `text` and `number` are the fault's argument.
    """

    now: float = 0.0
    origin: str = ""
    path: str = ""
    direct: bool = False
    seen: int = 0
    owed: int = 0
    text: str = ""
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a run that is being created: seconds until it ends, the word it ends with, and its videos."""

    seconds: float
    fate: str = "succeeded"
    reason: str = ""
    videos: int = 1


@dataclass(frozen=True, slots=True)
class FileAsk:
    """A request for a file, and the file: what `ranges.file_answer` answers."""

    content: bytes
    etag: str
    media_type: str = "video/mp4"
    range: str | None = None
    if_range: str | None = None


Document = dict[str, Any]
