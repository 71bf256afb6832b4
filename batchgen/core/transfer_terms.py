"""What follows from each outcome of a download attempt (README, section on downloads): one table, first match wins.

Pure: the time, the chance and the limits are arguments. `service.download` performs what is decided here.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

DEAD_STATUSES = frozenset({401, 403, 404, 410})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
BUSY_STATUSES = frozenset({408, 425, 429})
FULL_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})

# A weak tag promises the same film, not the same bytes. Outside of printable ASCII a tag cannot be sent back safely.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]+"')
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,18}")


# What is known ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of one download. Times are seconds, sizes are bytes."""

    redirects: int = 5  # that one attempt follows
    breaks: int = 8  # attempts in a row that got no further than one before them
    waits: int = 12  # answers in a row that ask for patience (429, 5xx)
    gain: int = 64 * 1024  # how much further an attempt must get to count as progress
    first_wait: float = 1.0  # doubled with each try, up to:
    longest_wait: float = 60.0
    longest_retry_after: float = 3600.0  # what a `Retry-After` can ask for at most


class Container(StrEnum):
    """What kind of file the first bytes announce."""

    UNKNOWN = "unknown"  # too few bytes to tell
    MP4 = "MP4"
    WEBM = "WebM"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Film:
    """What the bytes so far are, were the file to end here. `words` say what is missing, if anything is.

    `whole`: nothing is missing. `proves_end`: the boxes show that without an announced length.
    """

    container: Container
    whole: bool
    proves_end: bool
    words: str


NOTHING_YET = Film(Container.UNKNOWN, whole=False, proves_end=False, words="there is nothing")


@dataclass(frozen=True, slots=True)
class Held:
    """What the part holds: how many bytes, of which version of the file, and what they are.

    `etag` is a strong one that a resumed request can name; `total`, the announced length of the whole file.
    """

    bytes: int = 0
    etag: str | None = None
    total: int | None = None
    film: Film = NOTHING_YET


@dataclass(frozen=True, slots=True)
class Tries:
    """How often which kind of trouble came in a row. `furthest` is the byte that the best attempt reached."""

    breaks: int = 0
    waits: int = 0
    furthest: int = 0


# Outcomes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The address rule forbids to connect; nothing was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers are there; the body is not read yet. Header names are in lower case.

    `asked_at` is the first byte that the request asked for; `redirects`, how many this attempt has followed.
    """

    status: int
    headers: Mapping[str, str]
    asked_at: int = 0
    redirects: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The body came to its end as far as HTTP can tell, or is known not to be a video."""


@dataclass(frozen=True, slots=True)
class Broke:
    """No connection, a reset, a cut, or too slow."""

    reason: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The part could not be written; `code` is an `errno`."""

    code: int
    reason: str


Outcome = Unreachable | Answer | Ended | Broke | WriteFailed


# Decisions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receive:
    """Read the body into the part from byte `at` (0: drop what is there), as the version of the file named here."""

    at: int
    etag: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Ask at `location`, which may be relative, after the same checks as before."""

    location: str


@dataclass(frozen=True, slots=True)
class ResumeAt:
    """After `wait` seconds, ask for the bytes from `byte` on, if the file is still the version `etag`."""

    byte: int
    etag: str
    wait: float


@dataclass(frozen=True, slots=True)
class StartOver:
    """After `wait` seconds, ask for the whole file."""

    wait: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """The server asks for patience: after `seconds`, ask again for what is missing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Keep:
    """The part is whole: make it durable."""


@dataclass(frozen=True, slots=True)
class Dead:
    """The URL leads nowhere (any more): GET the run for a fresh one."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotVideo:
    """What the URL gives is no whole video: GET the run, try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The URL may not be fetched."""

    reason: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The tries are used up."""

    reason: str


@dataclass(frozen=True, slots=True)
class DiskFull:
    """No room for the video: nothing is wrong with the run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unwritable:
    """The video cannot be written for another reason than a full disk: nothing is wrong with the run."""

    reason: str


GivenUp = Dead | NotVideo | Refused | Interrupted | DiskFull | Unwritable
Decision = Receive | Redirect | ResumeAt | StartOver | Backoff | Keep | GivenUp


@dataclass(frozen=True, slots=True)
class Case:
    """All that a row may look at beside the outcome. `now` is for dates in headers; `chance` is random in [0, 1)."""

    held: Held
    tries: Tries
    policy: Policy
    now: datetime
    chance: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, the row of the table that made it, and the tries as they stand after it."""

    row: str
    decision: Decision
    tries: Tries
