"""The rehearsal service: Runbase's API over a real socket, with faults that can be switched on, and no cost.

`options` and `faults` can be imported without the extra; everything else needs it, and `require` says so.
"""

from __future__ import annotations

from importlib import import_module

from batchgen.errors import MissingExtra

_NEEDED = ("av", "PIL", "starlette", "uvicorn")


def require() -> None:
    """Make sure that the extra is installed; raises `errors.MissingExtra` with the first module that is not."""
    for name in _NEEDED:
        try:
            import_module(name)
        except ModuleNotFoundError as problem:
            raise MissingExtra("sandbox", "The rehearsal service", problem.name or name) from problem
