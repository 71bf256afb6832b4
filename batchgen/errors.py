"""Every error that a user can cause, in one hierarchy. Each class owns its exit code (README, “Exit codes”)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from batchgen.records import Problem


class BatchgenError(Exception):
    """Something that a person can mend. The text says what happened; `hint`, what to do next."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageProblem(BatchgenError):
    """Options, environment or files that cannot be used as they are; nothing was sent."""


class MissingExtra(UsageProblem):
    """A part of batchgen that is not installed. `extra` is the name in `pip install "batchgen[extra]"`."""

    def __init__(self, extra: str, purpose: str, missing: str) -> None:
        super().__init__(
            f"{purpose} needs the extra “{extra}”, which is not installed (no module named {missing}).",
            f'Install it with: pip install "batchgen[{extra}]"',
        )


class ManifestInvalid(BatchgenError):
    """All that is wrong in a manifest, at once; nothing was sent."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} in the manifest; nothing was sent.")
        self.problems = tuple(problems)


class ServiceStopped(BatchgenError):
    """The account or the service takes no more runs until a person has mended something."""

    exit_code = 3


class StateProblem(BatchgenError):
    """The state is locked, damaged, newer than this program, another service's, or cannot be written."""

    exit_code = 5


class StateLocked(StateProblem):
    """Another process works on this state."""


class StateDamaged(StateProblem):
    """The state's bytes are not what was written."""


class StateNewer(StateProblem):
    """The state was written by a later version."""


class StateForeign(StateProblem):
    """The state was made with another service."""


class StateUnwritable(StateProblem):
    """The state could not be saved; no further request that costs money is sent."""
