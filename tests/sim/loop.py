"""An event loop in which nothing waits and nothing is left to chance: the same choices give the same steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, MutableSet
from contextvars import Context
from typing import Any, TypeVar

from tests.engine.loops import JumpLoop

T = TypeVar("T")
MOST_STEPS_AT_ONE_MOMENT = 50_000


class OrderedSet(MutableSet[T]):
    """A set in the order of its making. Sets of tasks are ordered by address otherwise, which no seed decides."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: T) -> None:
        self._items[value] = None

    def discard(self, value: T) -> None:
        self._items.pop(value, None)


class Hung(AssertionError):
    """The loop turns, and the clock stands still."""


class SimLoop(JumpLoop):
    """Runs one process. It counts its steps (callbacks), so that the process can be killed between any two of them."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self._now = now
        self.steps = 0
        self.hung = False
        self._at_step: tuple[int, Callable[[], None]] | None = None
        self._moment, self._steps_now = now, 0
        self.set_exception_handler(lambda _loop, _context: None)

    def call_soon(  # type: ignore[override]  # the stub counts the callback's arguments
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._step, callback, *args, context=context)

    def _step(self, callback: Callable[..., object], *args: Any) -> None:
        self.steps += 1
        self._steps_now = self._steps_now + 1 if self._now == self._moment else 0
        self._moment = self._now
        if self._steps_now > MOST_STEPS_AT_ONE_MOMENT:
            self.hung = True
            self.stop()
        if self._at_step and self.steps >= self._at_step[0]:
            then, self._at_step = self._at_step[1], None
            then()
        callback(*args)

    def after_steps(self, count: int, then: Callable[[], None]) -> None:
        """Calls `then` between two callbacks, so many steps from now."""
        self._at_step = self.steps + count, then

    def run_for(self, seconds: float) -> None:
        """Lets time pass; ends early when somebody stops the loop."""
        end = self.call_later(seconds, self.stop)
        self.run_forever()
        end.cancel()
        if self.hung:
            raise Hung(f"{MOST_STEPS_AT_ONE_MOMENT:,} steps at one moment: the program turns in a circle")
