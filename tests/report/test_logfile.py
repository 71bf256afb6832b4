from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchgen.engine.notices import Changed, Held, Lost, Received, Stopping
from batchgen.errors import UsageProblem
from batchgen.records import Failure, Status
from batchgen.report.logfile import LogFile, notice_json, redacted
from tests.report.samples import KEY, Clock, doubt, downloaded, rejected


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_notice_is_one_line_with_its_time_and_bytes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "batch.log"
    with LogFile(path, Clock().wall) as log:
        log(downloaded("猫\n1"))
        log(Received("猫\n1", 5, 10))
        log(Held("requests", Failure("RATE_LIMITED", "Rate limit exceeded"), 6.00049))
        log(Held("submissions", Failure("insufficient_balance", "no"), math.inf))
        log(Stopping(Failure("stopped", "Stopped by a signal.")))
        log(Lost("a", "run_1", None))
    first, held, forever, stopping, lost = lines_of(path)
    assert first == {
        "at": "2026-03-01T08:00:00.000+00:00",
        "notice": "changed",
        "id": "猫\n1",
        "from": "succeeded",
        "to": "downloaded",
        "run_id": "run_猫\n1",
        "key": KEY,
        "cost_micro_usd": 48_000,
        "error": None,
        "files": [{"path": "videos/猫\n1.mp4", "bytes": 8_000_000}],
    }
    assert held["seconds"] == 6.0
    assert forever["seconds"] is None
    assert stopping["reason"] == {"code": "stopped", "message": "Stopped by a signal."}
    assert (lost["run_id"], lost["kept_in"]) == ("run_1", None)


def test_a_log_is_written_on_and_every_line_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "batch.log"
    for number in range(2):
        with LogFile(path) as log:
            log(Changed(doubt("d"), Status.SUBMITTING))
            assert len(lines_of(path)) == number + 1


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("see https://store.example/v.mp4?sig=abc for it", "see [address] for it"),
        ("key sk-abc_123-x refused", "key [key] refused"),
        ("Authorization: Bearer abc.def", "Authorization: [key]"),
        ("HTTP://X.Y/Z", "[address]"),
        ("data:image/png;base64,AAAA", "[address]"),
        ("a risk-free task-force", "a risk-free task-force"),
    ],
)
def test_keys_and_addresses_in_the_services_words_are_left_out(text: str, clean: str) -> None:
    assert redacted(text) == clean


def test_no_prompt_and_no_secret_is_written(tmp_path: Path) -> None:
    secret = replace(rejected("a"), error=Failure("odd", "bad key sk-secret at https://signed.example/x"))
    text = json.dumps(notice_json(Changed(secret, Status.SUBMITTING)))
    assert "sk-secret" not in text
    assert "signed.example" not in text
    assert secret.input["prompt"] not in text


def test_half_a_character_does_not_end_the_log(tmp_path: Path) -> None:
    path = tmp_path / "batch.log"
    with LogFile(path) as log:
        log(Lost("a\udc80", "run_1", None))
        log(Lost("b", "run_2", None))
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("name", ["", "missing/batch.log", "a\0b"])
def test_a_log_that_cannot_be_opened_is_a_usage_problem(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="cannot be opened") as raised:
        LogFile(tmp_path / name)
    assert raised.value.exit_code == 2


def test_a_full_disk_ends_the_log_and_not_the_batch() -> None:
    with LogFile("/dev/full") as log:
        log(Lost("a", "run_1", None))
        log(Lost("b", "run_2", None))
        assert log.problem
        assert "No space left" in log.problem


def test_a_bytes_notice_has_a_spelling_too() -> None:
    assert notice_json(Received("a", 1, None)) == {"notice": "received", "id": "a", "bytes": 1, "total": None}
