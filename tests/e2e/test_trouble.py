"""The ways in which it goes wrong, each with its exit code, words that help, and no traceback."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import QUICK, Shell, ended
from tests.e2e.test_run import SHOTS, many

SERVED = "http://127.0.0.1:{port}/api/v1"


@pytest.fixture
def service(shell: Shell, unused_port: int) -> Iterator[str]:
    """A rehearsal service in a process of its own; gives its base URL."""
    process = shell.start("sandbox", "--port", str(unused_port), "--latency", "0.005", "--rate-limit", "none")
    assert process.stderr is not None
    assert process.stdout is not None
    first = process.stdout.readline()
    assert str(unused_port) in first, first
    yield SERVED.format(port=unused_port)
    process.send_signal(signal.SIGINT)
    process.wait(10)


def test_without_a_key_nothing_is_sent(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml")
    assert said.code == 2
    assert "RUNBASE_API_KEY" in said.err
    assert not (shell.folder / "shots.state.json").exists()


def test_a_key_that_cannot_be_one_is_not_shown(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml", RUNBASE_API_KEY="sk-abc\ndef")
    assert said.code == 2
    assert "abc" not in said.err + said.out


def test_a_refused_key_stops_the_batch_with_3_and_the_right_one_goes_on(shell: Shell, service: str) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml", "--base-url", service, RUNBASE_API_KEY="wrong")
    assert said.code == 3, said
    assert "invalid_api_key" in said.out + said.err
    assert "wrong" not in said.out.replace("wrong key", "") + said.err.replace("wrong key", "")
    said = shell("run", "shots.yaml", "--base-url", service, RUNBASE_API_KEY="sk-right")
    assert said.code == 0, said


def test_a_state_of_another_service_is_refused(shell: Shell, service: str) -> None:
    shell.write("shots.yaml", SHOTS)
    assert shell("run", "shots.yaml", "--base-url", service, RUNBASE_API_KEY="sk-a").code == 0
    said = shell("run", "shots.yaml", "--base-url", "http://127.0.0.1:9/api/v1", RUNBASE_API_KEY="sk-a")
    assert said.code == 5
    assert service in said.err


def test_every_problem_of_a_manifest_at_once_and_nothing_sent(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS.replace("duration: 4", "duration: 5").replace("generate_audio", "generate_audo"))
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 2
    assert "shots.yaml:1:" in said.err
    assert "generate_audio" in said.err
    assert not (shell.folder / "shots.sandbox.state.json").exists()
    checked = shell("validate", "shots.yaml")
    assert checked.code == 2
    assert "shots.yaml:1:" in checked.out
    assert json.loads(shell("validate", "shots.yaml", "--json").out)["valid"] is False


@pytest.mark.parametrize(
    ("state", "words"),
    [("", "damaged"), ('{"format":"batchgen-state","version":2}', "version 2"), ('{"format":"other"}', "damaged")],
)
def test_a_state_that_cannot_be_trusted_is_refused_with_5(shell: Shell, state: str, words: str) -> None:
    shell.write("shots.yaml", SHOTS)
    shell.write("shots.sandbox.state.json", state)
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 5
    assert words in said.err
    assert (shell.folder / "shots.sandbox.state.json").read_text() == state


def test_no_balance_stops_with_3_and_a_top_up_goes_on(shell: Shell) -> None:
    shell.write("many.csv", many(12))
    said = shell("run", "many.csv", "--sandbox", "--sandbox-balance", "0.25", "-j", "3", *QUICK)
    assert said.code == 3, said
    assert "balance" in (said.out + said.err).lower()
    runs = shell.state("many.sandbox.state.json").values()
    assert sum(run["status"] == "downloaded" for run in runs) == 5
    assert sum(run["status"] == "pending" for run in runs) == 7
    assert shell("run", "many.csv", "--sandbox", "--sandbox-balance", "100", *QUICK).code == 0
    assert len(shell.accepted("many.sandbox.service")) == 12


def test_a_doubtful_run_waits_for_a_person_with_4(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS.replace("A lamp on a desk", '"A lamp on a desk [fault:created-500]"'))
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 4, said
    assert "batchgen resolve shots.yaml lamp --sandbox" in said.out
    assert shell("run", "shots.yaml", "--sandbox", *QUICK).code == 4
    accepted = shell.accepted("shots.sandbox.service")
    assert len(accepted) == 3
    listed = shell("resolve", "shots.yaml", "--sandbox")
    assert "lamp" in listed.out
    [lamp] = [run["id"] for run in accepted if "lamp" in run["input"]["prompt"]]
    assert shell("resolve", "shots.yaml", "lamp", "--adopt", lamp, "--sandbox").code == 0
    assert shell("run", "shots.yaml", "--sandbox", *QUICK).code == 0
    assert len(shell.accepted("shots.sandbox.service")) == 3


def test_failed_runs_end_with_1_and_are_rendered_anew_only_when_asked(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS.replace("A lamp on a desk", '"A lamp [fault:run-failed=flagged]"'))
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 1
    assert "flagged" in said.out
    assert "--retry-failed" in said.out
    assert shell("run", "shots.yaml", "--sandbox", *QUICK).code == 1
    assert len(shell.accepted("shots.sandbox.service")) == 3
    assert shell("run", "shots.yaml", "--sandbox", "--retry-failed", *QUICK).code == 1
    assert len(shell.accepted("shots.sandbox.service")) == 4


def test_an_output_folder_that_cannot_be_one_is_refused_before_anything_is_sent(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    shell.write("videos", "a file in the way")
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 2
    assert "videos" in said.err
    assert not (shell.folder / "shots.sandbox.state.json").exists()


def test_max_cost_is_not_overstepped(shell: Shell) -> None:
    shell.write("many.csv", many(12))
    said = shell("run", "many.csv", "--sandbox", "--max-cost", "0.2", *QUICK)
    assert said.code == 3
    assert sum(run["cost"] for run in shell.accepted("many.sandbox.service")) <= 200_000
    assert len(shell.accepted("many.sandbox.service")) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nothing.yaml"), "nothing.yaml"),
        (("run", "shots.yaml", "--sandbox", "--rate-limit", "many"), "N/SECONDS"),
        (("run", "shots.yaml", "--sandbox", "--sandbox-fault", "created-resett"), "created-reset"),
        (("run", "shots.yaml", "--base-url", "http://runbase.net"), "unencrypted"),
        (("resolve", "shots.yaml", "lamp", "--not-created"), "no state"),
        (("models", "kling/kling-3"), "kling/kling-3.0"),
        (("init", "shots.yaml"), "exists already"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_bad_usage_ends_with_2_and_says_what_is_meant(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell(*arguments, RUNBASE_API_KEY="sk-a")
    assert said.code == 2
    assert words in said.err


def test_an_output_that_takes_nothing_is_no_traceback(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = ended(shell.start("plan", "shots.yaml", into="/dev/full"))
    assert said.code == 1
    assert "cannot be written" in said.err


def test_a_pattern_that_matches_nothing_is_a_slip_of_the_pen(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml", "--sandbox", "--only", "lmap", *QUICK)
    assert said.code == 2
    assert "matches none of the 3 runs" in said.err


def test_what_a_limit_left_out_is_told_and_can_be_gone_on_with(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml", "--sandbox", "--limit", "1", *QUICK)
    assert said.code == 0
    assert "Not selected this time: 2 runs" in said.out
    assert "Go on with 2 unfinished runs" in said.out
    assert len(shell.accepted("shots.sandbox.service")) == 1


def test_a_paid_run_whose_row_is_taken_out_is_downloaded_all_the_same(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    stuck = ("run", "shots.yaml", "--sandbox", "--sandbox-fault", "file-500", "--download-concurrency", "3")
    process = shell.start(*stuck, *QUICK)
    state = shell.folder / "shots.sandbox.state.json.journal"
    shell.wait_for(lambda: state.exists() and state.read_text().count('"succeeded"') == 3, process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    shell.write("shots.yaml", SHOTS.replace("  - {id: lamp, prompt: A lamp on a desk}\n", ""))
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 0, said
    assert (shell.folder / "videos" / "sandbox" / "lamp.mp4").is_file()
    assert len(shell.accepted("shots.sandbox.service")) == 3
