"""The commands that only look: plan, status, models, schema, init."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import QUICK, Shell
from tests.e2e.test_run import SHOTS


def test_plan_before_and_after_and_it_changes_nothing(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    before = shell("plan", "shots.yaml", "--sandbox", "--json")
    assert before.code == 0
    assert json.loads(before.out)["counts"]["new"] == 3
    assert not (shell.folder / "shots.sandbox.state.json").exists()
    shell("run", "shots.yaml", "--sandbox", *QUICK)
    after = shell("plan", "shots.yaml", "--sandbox", "--json")
    assert json.loads(after.out)["counts"]["done"] == 3


def test_an_unknown_price_is_never_shown_as_nothing(shell: Shell) -> None:
    shell.write("veo.yaml", "model: google/veo-3\nruns: [A lamp, A boat]\n")
    said = shell("plan", "veo.yaml")
    assert said.code == 0
    [price] = [line for line in said.out.splitlines() if "price" in line]
    assert "unknown" in price
    assert "$" not in price


def test_status_tells_counts_money_and_what_to_do_next(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS.replace("A lamp on a desk", '"A lamp [fault:run-failed=flagged]"'))
    shell("run", "shots.yaml", "--sandbox", *QUICK)
    said = shell("status", "shots.yaml", "--sandbox")
    assert said.code == 0
    assert "flagged" in said.out
    assert "--retry-failed" in said.out
    counts = json.loads(shell("status", "shots.yaml", "--sandbox", "--json").out)["counts"]
    assert {status: number for status, number in counts.items() if number} == {"downloaded": 2, "failed": 1}


def test_status_before_the_first_run(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("status", "shots.yaml")
    assert said.code == 0
    assert "batchgen run shots.yaml" in said.out


@pytest.mark.parametrize("name", ["shots.yaml", "shots.csv"])
def test_the_starter_runs_as_it_is(shell: Shell, name: str) -> None:
    assert shell("init", name).code == 0
    assert shell("validate", name).code == 0
    assert shell("run", name, "--sandbox", *QUICK).code == 0


def test_models_and_schemas(shell: Shell) -> None:
    listed = shell("models").out
    assert listed.index("bytedance/seedance-1.5-pro") < listed.index("kling/kling-3.0")
    shown = json.loads(shell("models", "kling/kling-3.0", "--json").out)
    assert "mode" in json.dumps(shown)
    assert json.loads(shell("schema").out)["$schema"].startswith("http://json-schema.org/draft-07")


def test_help_of_every_command_has_an_example(shell: Shell) -> None:
    for command in ("init", "validate", "plan", "run", "status", "resolve", "models", "schema", "sandbox"):
        said = shell(command, "--help")
        assert said.code == 0
        assert "Example" in said.out
        assert "batchgen " + command in said.out
