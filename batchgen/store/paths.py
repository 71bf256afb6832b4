"""Where a batch keeps its memory: the state, and beside it the journal, the lock and the file for emergencies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StatePaths:
    """The files of one state, all in one folder and named after it."""

    state: Path

    @property
    def journal(self) -> Path:
        """What has happened since the state was last written."""
        return self._beside("journal")

    @property
    def lock(self) -> Path:
        """Held by the one process that may write. Never renamed and never removed."""
        return self._beside("lock")

    @property
    def emergency(self) -> Path:
        """Run ids that could not be written to the journal."""
        return self._beside("emergency")

    def _beside(self, ending: str) -> Path:
        return self.state.with_name(f"{self.state.name}.{ending}")


def state_paths(manifest: Path, chosen: Path | None, *, sandbox: bool) -> StatePaths:
    """The state that belongs to a manifest. A rehearsal has one of its own: it must never pass for the real thing."""
    if chosen is not None:
        # A fold renames a new file into place, which would replace a link and leave the state that it names behind.
        return StatePaths(chosen.resolve() if chosen.is_symlink() else chosen)
    return StatePaths(manifest.with_name(f"{manifest.stem}{'.sandbox' if sandbox else ''}.state.json"))


def path_from(file: Path, folder: Path) -> str:
    """A file's path as the state has it: relative to the state's folder, with forward slashes."""
    return Path(os.path.relpath(file, folder)).as_posix()
