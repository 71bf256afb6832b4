"""Two processes on one state: exactly one works, the other leaves at once with exit code 5 and sends nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from batchgen.errors import StateLocked
from batchgen.store import ledger
from batchgen.store.paths import StatePaths
from batchgen.store.reading import read_state
from tests.e2e.conftest import Process, Said, Shell, ended
from tests.e2e.test_run import many

KEY = {"RUNBASE_API_KEY": "sk-a"}
TRIES = 100


class Holder:
    """Another process that does with the lock what it is told."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def tell(self, word: str) -> None:
        """One line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def says(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def holder(state: Path) -> Iterator[Holder]:
    """Such a process, ended with this."""
    command = [sys.executable, "-m", "tests.e2e.lock_holder", str(state)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Holder(process)
        finally:
            process.kill()


def at_work(shell: Shell, service: str) -> Process:
    """A batch that has just sent everything."""
    shell.write("many.csv", many(8))
    command = ("run", "many.csv", "--base-url", service, "--rate-limit", "none")
    process = shell.start(*command, **KEY)
    shell.wait_for(lambda: len(shell.books(service)["posts"]) == 8, process)
    return process


def refused(said: Said) -> None:
    """The words and the code of a process that has to leave."""
    assert said.code == 5, said
    assert "Another batchgen process" in said.err


def stops(process: Process) -> None:
    """Ctrl-C, and it drains as if nobody had been there."""
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130


def test_while_one_works_another_leaves_at_once_and_sends_nothing(shell: Shell) -> None:
    """Also `resolve`; `status` and `plan` show how it stands, and disturb nobody."""
    service = shell.serve("--fault", "run-never")
    first = at_work(shell, service)
    began = time.monotonic()
    assert shell("validate", "many.csv").code == 0  # which looks at no lock
    usual = time.monotonic() - began
    began = time.monotonic()
    refused(shell("run", "many.csv", "--base-url", service, **KEY))
    assert time.monotonic() - began < 1 + 4 * usual, "waits for the other one"
    refused(shell("resolve", "many.csv", "r001", "--not-created"))
    for looks in ("status", "plan"):
        assert shell(looks, "many.csv", **KEY).code == 0
    stops(first)
    assert len(shell.books(service)["posts"]) == 8
    assert {run["status"] for run in shell.state("many.state.json").values()} == {"submitted"}


def test_a_lock_of_a_dead_process_is_no_lock(shell: Shell) -> None:
    """After a kill the file is there still, and the same command goes on."""
    service = shell.serve("--fault", "run-slow=10")
    process = at_work(shell, service)
    lock = shell.folder / "many.state.json.lock"
    number = lock.stat().st_ino
    process.kill()
    process.communicate()
    assert lock.exists()
    said = shell("run", "many.csv", "--base-url", service, "--rate-limit", "none", **KEY)
    assert said.code in (0, 4), said
    assert len(shell.books(service)["posts"]) == 8
    assert lock.stat().st_ino == number, "the file that others may hold has been replaced"


def test_while_another_process_holds_the_lock_nothing_is_sent_or_decided(shell: Shell) -> None:
    """Whoever it is, and also where the rehearsal is embedded; what only looks is not kept out."""
    service = shell.serve()
    shell.write("many.csv", many(2))
    run = ("run", "many.csv", "--base-url", service, "--rate-limit", "none")
    assert shell(*run, "--limit", "1", **KEY).code == 0
    with holder(shell.folder / "many.state.json") as other:
        other.tell("try")
        assert other.says() == "held"
        refused(shell(*run, **KEY))
        refused(shell("resolve", "many.csv", "r000", "--abandon"))
        assert shell("status", "many.csv").code == 0
        assert len(shell.books(service)["posts"]) == 1
    assert shell(*run, **KEY).code == 0


@pytest.mark.parametrize("attempt", range(2))
def test_of_two_that_start_at_once_exactly_one_works(shell: Shell, attempt: int) -> None:
    service = shell.serve("--fault", "run-never")
    shell.write("many.csv", many(8))
    command = ("run", "many.csv", "--base-url", service, "--rate-limit", "none")
    two = [shell.start(*command, **KEY) for _ in range(2)]
    shell.wait_for(lambda: any(process.poll() is not None for process in two), shell.started[0])
    [loser] = [process for process in two if process.poll() is not None]
    [winner] = [process for process in two if process is not loser]
    refused(ended(loser))
    shell.wait_for(lambda: len(shell.books(service)["posts"]) == 8, winner)
    stops(winner)
    assert len(shell.books(service)["posts"]) == 8


def test_at_no_moment_do_two_hold_the_lock(tmp_path: Path) -> None:
    """Three processes try it at once, a hundred times: one gets it, and its file stays the same one."""
    state = tmp_path / "many.state.json"
    numbers = set()
    with ExitStack() as opened:
        holders = [opened.enter_context(holder(state)) for _ in range(3)]
        for _ in range(TRIES):
            for one in holders:
                one.tell("try")
            assert sorted(one.says() for one in holders) == ["held", "locked", "locked"]
            numbers.add(StatePaths(state).lock.stat().st_ino)
            for one in holders:
                one.tell("go on")
    assert len(numbers) == 1


def test_a_fold_opens_no_gap_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one folds without a pause, another never gets in, and whoever only reads finds a whole state each time."""
    monkeypatch.setattr(ledger, "LOCK_WAIT_S", 0.0)
    paths = StatePaths(tmp_path / "many.state.json")
    with holder(paths.state) as other:
        other.tell("fold")
        assert other.says() == "held"
        generations, numbers = set[int](), set[int]()
        while len(generations) < TRIES:
            with pytest.raises(StateLocked), ledger.locked(paths):
                pass
            assert ledger.is_locked(paths)
            document = read_state(paths)
            assert document is not None
            generations.add(document.header.generation)
            numbers.add(paths.lock.stat().st_ino)
        other.tell("end")
        other.tell("try")  # answered once the state is closed
        assert other.says() == "held"
    assert len(numbers) == 1
