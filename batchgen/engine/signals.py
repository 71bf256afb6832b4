"""Ctrl-C and its kin: the first one drains, the second one leaves at once.

asyncio's own answer to Ctrl-C cancels the main task, shields and all, so the signals are taken here instead.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from anyio.abc import TaskGroup

from batchgen.core.outcome import CTRL_C, TERMINATED
from batchgen.engine.batch import Batch

TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Hands signals to the batch that is running; one that comes before there is a batch meets it at its start."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._batch: Batch | None = None
        self._codes: list[int] = []

    def hand_to(self, batch: Batch) -> None:
        """From now on this batch is stopped by signals."""
        self._batch = batch
        if self._codes:
            self._drain(batch)

    async def watch(self, received: AsyncIterator[signal.Signals]) -> None:
        """Takes signals until cancelled."""
        async for number in received:
            self._codes.append(CTRL_C if number == signal.SIGINT else TERMINATED)
            if self._batch is None:
                continue
            if len(self._codes) == 1:
                self._drain(self._batch)
            else:
                self._batch.leave_now()

    def _drain(self, batch: Batch) -> None:
        batch.drain(self._codes[0])
        self._tasks.start_soon(batch.leave_after_deadline)


@contextmanager
def _kept_handlers() -> Iterator[list[signal.Signals]]:
    """Gives the signals that may be taken, and puts handlers back: the event loop would leave Python's own ones.

    One that the program was started to ignore stays ignored: nohup means a batch to outlive its terminal.
    """
    before = {number: signal.getsignal(number) for number in TAKEN}
    try:
        yield [number for number, handler in before.items() if handler != signal.SIG_IGN]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def taking_signals() -> AsyncIterator[Signals]:
    """Takes SIGINT, SIGTERM and SIGHUP for as long as this lasts."""
    problem: Exception | None = None
    with _kept_handlers() as not_ignored, anyio.open_signal_receiver(*not_ignored) as received:
        async with anyio.create_task_group() as tasks:
            signals = Signals(tasks)
            tasks.start_soon(signals.watch, received)
            try:
                yield signals
            except Exception as raised:  # raised again below: a task group would wrap it in a group
                problem = raised
            finally:
                tasks.cancel_scope.cancel()
    if problem:
        raise problem
