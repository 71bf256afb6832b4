"""Where a round of kills plays: a manifest with its injected doubts, the command, and the service with its books."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from batchgen.records import sha256_of
from batchgen.store.paths import StatePaths

# Each leaves nobody but the service knowing whether a run exists: with some one does, with others none does.
DOUBTFUL = (
    *("created-reset", "created-no-id", "created-not-json", "created-truncated=5"),
    *("created-408", "created-409", "created-500", "created-502", "created-503"),
    *("post-reset", "post-408", "post-409", "post-500", "post-502", "post-503", "post-status=599"),
)
# Each makes a moment longer, or a detour, that a kill can hit; by itself none leaves a doubt.
DETOURS = ("created-hang=1.5", "created-truncated", "file-hang=0.4", "file-reset", "file-truncated", "file-drip=150000")
BLOCK = 20  # one run in so many is made doubtful, which is 5 %
LATENCY = "0.005"


class Flavour(StrEnum):
    """What a round has of its own."""

    PLAIN = "plain"
    EMBEDDED = "embedded"  # the rehearsal lives in the program, and is killed with it
    FOLDING = "folding"  # the journal is folded after every few writes instead of every 8 MiB
    DECIDED = "decided"  # what is in doubt at the end is decided with `resolve`, and the batch goes on


@dataclass(frozen=True)
class Books:
    """What the service knows. `posts` are those it received, by the run's name; None where nobody counted them."""

    runs: dict[str, list[tuple[str, int]]]
    posts: dict[str, list[dict[str, Any]]] | None


@dataclass(frozen=True)
class Scene:
    """One round's folder and everything in it."""

    folder: Path
    flavour: Flavour
    inputs: dict[str, str]  # by its hash, the name of the run that asks for it
    injected: frozenset[str]
    service: Path
    origin: str | None

    @property
    def sandbox(self) -> tuple[str, ...]:
        """The option that every command of this round needs."""
        return ("--sandbox",) if self.origin is None else ()

    @property
    def paths(self) -> StatePaths:
        """The state's files."""
        return StatePaths(self.folder / ("many.state.json" if self.origin else "many.sandbox.state.json"))

    @property
    def videos(self) -> Path:
        """Where the videos go."""
        return self.folder / "videos" / ("" if self.origin else "sandbox")

    @property
    def run(self) -> tuple[str, ...]:
        """The command that begins and resumes."""
        rates = ("-j", "16", "--rate-limit", "none", "-q")
        served = ("--base-url", f"{self.origin}/api/v1") if self.origin else ("--sandbox-latency", LATENCY)
        return ("run", "many.csv", *self.sandbox, *served, *rates)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command of the program in a process of its own."""
        module = "tests.soak.kill_folding" if self.flavour is Flavour.FOLDING else "batchgen"
        return _start(self.folder, module, *arguments)

    def books(self) -> Books:
        """The service's own books: asked for, or read from its ledger where it was killed with the program."""
        if self.origin is None:
            lines = (self.service / "ledger.jsonl").read_bytes().split(b"\n") if self.service.exists() else []
            return self._books([json.loads(line)["run"] for line in lines if line], None)
        with urlopen(f"{self.origin}/sandbox/ledger") as answer:
            found = json.load(answer)
        return self._books(found["runs"], found["posts"])

    def _books(self, entries: list[dict[str, Any]], received: list[dict[str, Any]] | None) -> Books:
        runs: dict[str, list[tuple[str, int]]] = {}
        for entry in entries:
            cost = int(entry["cost_micro_usd" if received is not None else "cost"])
            runs.setdefault(self.inputs[sha256_of(entry["input"])], []).append((entry["id"], cost))
        posts: dict[str, list[dict[str, Any]]] = {}
        for post in received or ():
            posts.setdefault(self.inputs[post["input_sha256"]], []).append(post)
        return Books(runs, None if received is None else posts)


@contextmanager
def made(folder: Path, flavour: Flavour, count: int, chance: random.Random) -> Iterator[Scene]:
    """A scene with so many runs; its service ends with it."""
    folder.mkdir()
    prompts, injected = _prompts(count, chance)
    rows = (f"{name},{prompt},480p,4,16:9\n" for name, prompt in prompts.items())
    (folder / "many.csv").write_text("id,prompt,resolution,duration,aspect_ratio\n" + "".join(rows), encoding="utf-8")
    asked = {"resolution": "480p", "duration": "4", "aspect_ratio": "16:9"}
    inputs = {sha256_of({"prompt": prompt, **asked}): name for name, prompt in prompts.items()}
    if flavour is Flavour.EMBEDDED:
        yield Scene(folder, flavour, inputs, injected, folder / "many.sandbox.service", None)
        return
    service = folder.with_name(f"{folder.name}.service")
    options = ("--port", "0", "--latency", LATENCY, "--rate-limit", "none", "--folder", str(service))
    process = _start(folder, "batchgen", "sandbox", *options)
    try:
        assert process.stdout is not None
        origin = process.stdout.readline().split()[-1].removesuffix("/api/v1")
        yield Scene(folder, flavour, inputs, injected, service, origin)
    finally:
        process.kill()
        process.communicate()


def _prompts(count: int, chance: random.Random) -> tuple[dict[str, str], frozenset[str]]:
    """One run of each block is doubtful. Spread like that, no five among fifty are, and the breaker stays closed."""
    doubtful = {first + chance.randrange(min(BLOCK, count - first)) for first in range(0, count, BLOCK)}
    out, names = {}, []
    for number in range(count):
        name, fault = f"r{number:03}", ""
        if number in doubtful:
            fault = f" [fault:{chance.choice(DOUBTFUL)}@1x]"
            names.append(name)
        elif chance.random() < 0.15:
            fault = f" [fault:{chance.choice(DETOURS)}@1x]"
        out[name] = f"Prompt number {number}{fault}"
    return out, frozenset(names)


def _start(folder: Path, module: str, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    root = str(Path(__file__).parents[2])
    command: Sequence[str] = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, "RUNBASE_API_KEY": "sk-soak", "PYTHONPATH": root},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
