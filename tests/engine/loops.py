"""Two event loops with a clock of their own: one runs faster than the world, the other jumps over idle time."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

SPEED = 20.0


class _PacedSelector(selectors.DefaultSelector):
    """Waits as the loop's clock asks, in the world's time."""

    pace: Callable[[float], float | None] = staticmethod(lambda seconds: seconds)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(self.pace(timeout) if timeout is not None and timeout > 0 else timeout)


class FastLoop(asyncio.SelectorEventLoop):
    """Its seconds are a twentieth of the world's: deadlines and pauses of minutes take seconds, over real sockets."""

    def __init__(self) -> None:
        selector = _PacedSelector()
        selector.pace = lambda seconds: seconds / SPEED
        self._began = time.monotonic()
        super().__init__(selector)

    def time(self) -> float:
        return self._began + (time.monotonic() - self._began) * SPEED


class JumpLoop(asyncio.SelectorEventLoop):
    """Nothing ever waits: when no task can run, the clock jumps to the next timer. For code without I/O."""

    def __init__(self) -> None:
        selector = _PacedSelector()
        selector.pace = self._jump
        self._now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def _jump(self, seconds: float) -> float:
        self._now += seconds
        return 0.0


def backend(loop: type[asyncio.AbstractEventLoop]) -> tuple[str, dict[str, Any]]:
    """What an `anyio_backend` fixture returns to run a test on such a loop."""
    return "asyncio", {"loop_factory": loop}
