"""The request window of the service: a strict sliding one, for each key its own (runbase-api.md, “Rate limit”)."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """At most `limit` requests in any `seconds`. Refused requests do not count: nothing documents that they do."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Whether a request at this time (in seconds, never going back) is let in; if so, it counts."""
        while self._admitted and self._admitted[0] <= now - self._seconds:
            self._admitted.popleft()
        if len(self._admitted) >= self._limit:
            return False
        self._admitted.append(now)
        return True
