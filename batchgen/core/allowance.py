"""What a service says of the request window in its answers' headers. Runbase documents none; they are honoured where
they come.

Three spellings are in use: `RateLimit: "name";r=3;t=7` and `RateLimit: limit=20, remaining=3, reset=7` (drafts of the
IETF's httpapi group), and the older trio `RateLimit-Remaining` and `RateLimit-Reset`, often with `X-` before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LONGEST_S = 3600.0
_NAMED = re.compile(r"\b(remaining|reset)\s*=\s*(\d{1,9})\b", re.ASCII)
_SHORT = re.compile(r";\s*(r|t)\s*=\s*(\d{1,9})\b", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Allowance:
    """So many more requests may begin within the next `resets_s` seconds."""

    left: int
    resets_s: float


def allowance_from(headers: Mapping[str, str]) -> Allowance | None:
    """The tightest allowance in an answer's headers (names in lower case); None where there is none that makes sense.

    A reset of more than an hour is no request window: a time of day in seconds since 1970, or a daily quota.
    """
    told = [Allowance(int(left), float(resets)) for left, resets in _pairs(headers)]
    return min((one for one in told if one.resets_s <= LONGEST_S), default=None)


def _pairs(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    line = headers.get("ratelimit", "")
    found = [dict(_NAMED.findall(line)), *(dict(_SHORT.findall(item)) for item in line.split(","))]
    for prefix in ("ratelimit-", "x-ratelimit-"):
        older = {name: headers.get(prefix + name, "").strip() for name in ("remaining", "reset")}
        found.append({name: value for name, value in older.items() if re.fullmatch(r"[0-9]{1,9}", value)})
    for values in found:
        left, resets = values.get("remaining") or values.get("r"), values.get("reset") or values.get("t")
        if left and resets:
            yield left, resets
