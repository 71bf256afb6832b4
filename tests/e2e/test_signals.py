"""Signals to the real process, at any moment: what is paid for is saved, the exit code is right, nothing is torn."""

from __future__ import annotations

import os
import signal
import time

import pytest

from batchgen.engine.batch import DRAIN_S
from tests.e2e.conftest import QUICK, Process, Said, Shell, ended
from tests.e2e.test_run import assert_each_created_once_and_downloaded, many

KEY = {"RUNBASE_API_KEY": "sk-a"}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


@pytest.mark.parametrize("number", CODES)
def test_a_signal_drains_and_the_same_command_goes_on(shell: Shell, number: signal.Signals) -> None:
    shell.write("many.csv", many(40))
    command = ("run", "many.csv", "--sandbox", "-j", "8", *QUICK)
    process = shell.start(*command)
    videos = shell.folder / "videos" / "sandbox"
    shell.wait_for(lambda: len(list(videos.glob("*.mp4"))) >= 5, process)
    process.send_signal(number)
    said = ended(process)
    assert said.code == CODES[number], said
    assert "batchgen run many.csv --sandbox" in said.out
    statuses = [run["status"] for run in shell.state("many.sandbox.state.json").values()]
    assert "in_doubt" not in statuses
    assert "submitting" not in statuses
    assert shell(*command).code == 0
    assert_each_created_once_and_downloaded(shell, 40)


def with_open_posts(shell: Shell, service: str) -> Process:
    """A batch of 40 at the moment when the service has received sixteen POSTs and answered none."""
    shell.write("many.csv", many(40))
    command = ("run", "many.csv", "-j", "16", "--base-url", service, "--rate-limit", "none")
    process = shell.start(*command, **KEY)
    shell.wait_for(lambda: len(shell.books(service)["posts"]) == 16, process)
    return process


def statuses_of(shell: Shell) -> dict[str, set[str]]:
    """The names of the runs in the state, by their status."""
    found: dict[str, set[str]] = {}
    for name, run in shell.state("many.state.json").items():
        found.setdefault(run["status"], set()).add(name)
    return found


@pytest.mark.parametrize("number", CODES)
def test_with_sixteen_posts_pending_every_id_is_saved(shell: Shell, number: signal.Signals) -> None:
    """Their answers come 2 s later: no POST follows, all sixteen are waited for, and the rest is sent next time."""
    service = shell.serve("--fault", "created-hang=2@1x")
    process = with_open_posts(shell, service)
    process.send_signal(number)
    said = ended(process)
    books = shell.books(service)
    assert said.code == CODES[number], said
    assert len(books["posts"]) == len(books["runs"]) == 16
    runs = shell.state("many.state.json")
    assert {run["run_id"] for run in runs.values() if run["run_id"]} == {run["id"] for run in books["runs"]}
    assert {status: len(names) for status, names in statuses_of(shell).items()} == {"submitted": 16, "pending": 24}


def drains(process: Process) -> None:
    """Returns when the program says that it has heard the first signal: two that come at once are one to the system."""
    assert process.stderr is not None
    assert any("stopping:" in line for line in process.stderr)


@pytest.mark.parametrize("times", [2, 3])
def test_a_second_ctrl_c_leaves_at_once_and_a_third_changes_nothing(shell: Shell, times: int) -> None:
    """To the whole process group, as a terminal does it. What was open is in doubt on disk, and is not sent again."""
    service = shell.serve("--fault", "created-hang=3600")
    process = with_open_posts(shell, service)
    os.killpg(process.pid, signal.SIGINT)
    drains(process)
    began = time.monotonic()
    for _ in range(times - 1):
        os.killpg(process.pid, signal.SIGINT)
    said = ended(process)
    assert said.code == 130, said
    assert time.monotonic() - began < DRAIN_S, "it has waited for the end of the drain"
    assert "batchgen resolve many.csv" in said.out
    doubtful = statuses_of(shell)["in_doubt"]
    assert {status: len(names) for status, names in statuses_of(shell).items()} == {"in_doubt": 16, "pending": 24}
    again = shell("run", "many.csv", "--base-url", service, "--limit", "0", **KEY)
    assert again.code == 4, again
    assert statuses_of(shell)["in_doubt"] == doubtful
    assert len(shell.books(service)["posts"]) == 16


# What the program does when a signal comes, by what has begun: nothing; a batch; all is done but to save and to say so.
NOTHING_YET = ("batchgen.cli", "click", "batchgen.engine.dispatch", "batchgen.app.render:anyio.run")
BEFORE_THE_BATCH = (
    "batchgen.app.render:VideoFolder",
    "batchgen.store.ledger:read_state",
    "batchgen.store.ledger:put_in_place",
    "batchgen.store.journal:replace_file",
    "batchgen.app.render:plan_for",
    "batchgen.store.journal:Journal.append",
    "batchgen.app.render:Batch",
)
ALL_DONE = ("batchgen.store.ledger:replace_file@2", "batchgen.store.ledger:fsync_folder", "batchgen.app.render:_reply")


def struck(shell: Shell, names: str, place: str, **environment: str) -> Said:
    """How a batch of two ends when these signals come at that place."""
    shell.write("many.csv", many(2))
    command = ("run", "many.csv", "--sandbox", "--log-file", "log.jsonl", *QUICK)
    return ended(shell.start(names, place, *command, module="tests.e2e.signal_at", **environment))


def goes_on(shell: Shell) -> None:
    """The same command once more: every run accepted once, and downloaded."""
    assert shell("run", "many.csv", "--sandbox", *QUICK).code == 0
    assert_each_created_once_and_downloaded(shell, 2)


EARLY = [*zip(("SIGINT", "SIGTERM", "SIGHUP", "SIGINT,SIGTERM,SIGHUP"), NOTHING_YET, strict=True)]


@pytest.mark.parametrize(("names", "place"), [*EARLY, ("SIGINT", "batchgen.engine.dispatch")])
def test_a_signal_before_anything_has_begun_just_ends_it(shell: Shell, names: str, place: str) -> None:
    """While modules load and the manifest is read; Python alone would show the traceback of half an import."""
    said = struck(shell, names, place)
    assert (said.code, said.out, said.err) == (130 if "INT" in names else 143, "", "")
    assert not list(shell.folder.glob("*.service"))


@pytest.mark.parametrize("place", BEFORE_THE_BATCH)
def test_a_signal_before_the_batch_sends_nothing(shell: Shell, place: str) -> None:
    """Three of them at once, which the system hands over in the order of their numbers."""
    said = struck(shell, "SIGTERM,SIGINT,SIGHUP", place)
    assert said.code in (130, 143), said
    assert shell.accepted("many.sandbox.service") == []
    if place == BEFORE_THE_BATCH[-1]:
        goes_on(shell)


@pytest.mark.parametrize("place", ALL_DONE)
def test_a_signal_when_all_is_done_changes_nothing(shell: Shell, place: str) -> None:
    """Every video is there: that is how it ended, and the state is folded as ever."""
    said = struck(shell, "SIGTERM,SIGINT,SIGHUP", place)
    assert said.code == 0, said
    assert "All 2 runs downloaded" in said.out
    assert "stopping" not in said.err
    assert not list(shell.folder.glob("*.journal"))
    assert_each_created_once_and_downloaded(shell, 2)


def test_a_signal_when_all_is_saved_has_its_code_all_the_same(shell: Shell) -> None:
    """Before the result is printed nobody takes signals any more: the program just ends, as before it had begun."""
    said = struck(shell, "SIGTERM", "batchgen.cli:_emit")
    assert (said.code, said.out) == (143, "")
    assert_each_created_once_and_downloaded(shell, 2)


def test_what_is_to_be_ignored_is_ignored(shell: Shell) -> None:
    """nohup starts a batch so, to outlive its terminal; shells start those in the background deaf to Ctrl-C."""
    said = struck(shell, "SIGHUP,SIGINT", "batchgen.app.render:Batch", IGNORED="SIGHUP,SIGINT")
    assert said.code == 0, said
    said = struck(shell, "SIGHUP,SIGINT", "batchgen.engine.dispatch", IGNORED="SIGHUP,SIGINT")
    assert said.code == 0, said
