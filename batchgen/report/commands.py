"""The commands that a person is told to go on with, ready to be pasted into a shell."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """How this batch is named on the command line.

    `manifest`: its path as the user typed it. `options`: what every command on this batch needs again, such as
    --sandbox or --state FILE. `run_options`: what only `run` needs again, such as --output-dir DIR.
    """

    manifest: str
    options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()

    def run(self, *extra: str) -> str:
        """Goes on with the batch."""
        return _shell("run", (self.manifest,), (*self.options, *self.run_options, *extra))

    def status(self) -> str:
        """Shows how the batch stands."""
        return _shell("status", (self.manifest,), self.options)

    def resolve(self, ids: Iterable[str], *decision: str) -> str:
        """Decides runs in doubt; without ids it lists them."""
        return _shell("resolve", (self.manifest, *ids), (*self.options, *decision))

    def from_here(self, path: str) -> str:
        """A path that the state has relative to its own folder, as seen from where the user is."""
        state = dict(zip(self.options, self.options[1:], strict=False)).get("--state", self.manifest)
        return posixpath.normpath(posixpath.join(posixpath.dirname(state), path))


def _shell(command: str, named: tuple[str, ...], options: tuple[str, ...]) -> str:
    from shlex import join  # slow to import for what `--help` needs

    if any(word.startswith("-") for word in named):
        return join(("batchgen", command, *options, "--", *named))
    return join(("batchgen", command, *named, *options))
