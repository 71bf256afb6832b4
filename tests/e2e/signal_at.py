"""`python -m tests.e2e.signal_at SIGINT,SIGINT PLACE[@N] …`: the program, which gets signals at an exact place.

PLACE is a module (as it is imported) or MODULE:NAME (the Nth call of a function or method, as it begins). The signals
come from the process itself, so that a test of an awkward moment waits for no clock. Those that the environment
variable IGNORED names are ignored from the start, as nohup does it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import Any


def _strike(names: str) -> None:
    for name in names.split(","):
        os.kill(os.getpid(), getattr(signal, name))


class AtImport:
    """A finder that finds nothing, and strikes when it is asked for the module."""

    def __init__(self, names: str, module: str) -> None:
        self._names, self._module = names, module

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        """Part of the protocol of `sys.meta_path`."""
        if name == self._module:
            _strike(self._names)
        return None


def at_call(names: str, module: str, path: str, number: int) -> None:
    """Puts a function in the place of another, that strikes at its Nth call and then does what that one does."""
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for step in outer:
        owner = getattr(owner, step)
    real: Callable[..., Any] = getattr(owner, name)
    calls: list[None] = []

    def struck(*args: Any, **more: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            _strike(names)
        return real(*args, **more)

    async def struck_async(*args: Any, **more: Any) -> Any:
        return await struck(*args, **more)

    setattr(owner, name, struck_async if inspect.iscoroutinefunction(real) else struck)


def _main() -> None:
    names, place, *arguments = sys.argv[1:]
    for ignored in filter(None, os.environ.get("IGNORED", "").split(",")):
        signal.signal(getattr(signal, ignored), signal.SIG_IGN)
    from batchgen.__main__ import main

    where, _, number = place.partition("@")
    module, _, path = where.partition(":")
    if path:
        at_call(names, module, path, int(number or 1))
    else:
        sys.meta_path.insert(0, AtImport(names, module))
    sys.argv[1:] = arguments
    main()


if __name__ == "__main__":
    _main()
