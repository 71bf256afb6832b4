"""A user's shell: the real command in a process of its own, in an empty folder, against the rehearsal service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

Process = subprocess.Popen[str]
LONGEST_S = 90.0
QUICK = ("--sandbox-latency", "0.005", "--rate-limit", "1000/1")


@dataclass
class Shell:
    """Runs `batchgen` in one folder. Nothing of the test machine's own settings reaches it."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, into: str | None = None, module: str = "batchgen", **environment: str) -> Process:
        """Starts a command in a process group of its own, as a terminal does it, and does not wait for it.

        `into`: a file that takes its stdout. `module`: what stands in for the program.
        """
        kept = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START", "COVERAGE_FILE", "COVERAGE_PROCESS_CONFIG")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ |= {"PYTHONPATH": str(Path(__file__).parents[2]), **environment}
        taken = os.open(into, os.O_WRONLY) if into else None
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=environ,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if taken is None else taken,
            stderr=subprocess.PIPE,
            text=True,
        )
        if taken is not None:
            os.close(taken)
        self.started.append(process)
        return process

    def serve(self, *options: str) -> str:
        """Starts a rehearsal service of its own, quick and without a limit; gives its base URL."""
        quick = ("--port", "0", "--latency", "0.005", "--rate-limit", "none")
        process = self.start("sandbox", *quick, *options)
        assert process.stdout is not None
        return process.stdout.readline().split()[-1]

    def books(self, service: str) -> dict[str, Any]:
        """What a service of its own knows: the runs that it has created, and the POSTs that it has received."""
        with urlopen(f"{service.removesuffix('/api/v1')}/sandbox/ledger") as answer:
            books: dict[str, Any] = json.load(answer)
        return books

    def __call__(self, *arguments: str, **environment: str) -> Said:
        """Runs a command to its end."""
        return ended(self.start(*arguments, **environment))

    def write(self, name: str, text: str) -> Path:
        """Writes a file that a user has written."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def state(self, name: str) -> dict[str, Any]:
        """The runs in a state file."""
        runs: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))["runs"]
        return runs

    def accepted(self, service: str) -> list[dict[str, Any]]:
        """The rehearsal service's own ledger: every run that it has created and taken money for."""
        lines = (self.folder / service / "ledger.jsonl").read_text().splitlines()
        return [item["run"] for item in map(json.loads, lines) if "run" in item]

    def wait_for(self, holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Looks again and again until it holds; fails when the process ends before, or never gets there."""
        deadline = time.monotonic() + LONGEST_S
        while not holds():
            assert process.poll() is None, f"ended with {process.returncode}: {process.communicate()}"
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.005)


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def ended(process: subprocess.Popen[str]) -> Said:
    """Waits for the end of a command. Whatever it is, it is no traceback."""
    out, err = process.communicate(timeout=LONGEST_S)
    assert "Traceback" not in err, err
    return Said(process.returncode, out, err)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    made = Shell(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
