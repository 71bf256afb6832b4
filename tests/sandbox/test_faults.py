"""How faults are written, and when they strike."""

from __future__ import annotations

import pytest

from batchgen.errors import UsageProblem
from batchgen.sandbox.faults import Fault, describe_faults, faults_in_header, faults_in_prompt, striking
from batchgen.sandbox.faulttable import KINDS


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("post-500", Fault("post-500")),
        (" POST-429=3@0.5 ", Fault("post-429", "3", 0.5)),
        ("poll-404@2x", Fault("poll-404", "", 1.0, 2)),
        ("file-redirect-to=http://me@host/x?a=b", Fault("file-redirect-to", "http://me@host/x?a=b")),
        ("run-failed=Too dark@1x", Fault("run-failed", "Too dark", 1.0, 1)),
    ],
)
def test_a_fault_is_read_and_written_alike(spec: str, fault: Fault) -> None:
    assert Fault.parse(spec) == fault
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "is no fault"),
        ("post-50", "no fault “post-50”"),
        ("post-500=3", "takes no argument"),
        ("post-429=soon", "is a number"),
        ("post-429=inf", "is a number"),
        ("post-status=42", "HTTP status"),
        ("post-500@2", "probability"),
        ("post-500@x", "is no fault"),
        ("post-500@1.5x", "probability"),
        ("run-failed=a\x07b", "cannot be printed"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_reason(spec: str, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        Fault.parse(spec)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(UsageProblem) as problem:
        Fault.parse("created-resett")
    assert "Did you mean created-reset?" in str(problem.value.hint)


def test_faults_in_a_prompt_and_in_a_header_are_found_among_other_text() -> None:
    assert faults_in_prompt("A [wet] cat [fault: post-429=3 ] runs [fault:run-slow]") == (
        Fault("post-429", "3"),
        Fault("run-slow"),
    )
    assert faults_in_prompt(None) == ()
    assert faults_in_header("poll-404@1x, file-html") == (Fault("poll-404", first=1), Fault("file-html"))


def test_a_rate_strikes_that_share_and_the_same_requests_every_time() -> None:
    fault = Fault("poll-500", rate=0.3)
    struck = [bool([*striking([fault], "poll", 7, f"run {n}", 0)]) for n in range(2000)]
    assert 0.25 < sum(struck) / len(struck) < 0.35
    assert struck == [bool([*striking([fault], "poll", 7, f"run {n}", 0)]) for n in range(2000)]
    assert struck != [bool([*striking([fault], "poll", 8, f"run {n}", 0)]) for n in range(2000)]


def test_a_rate_of_one_always_strikes_and_of_zero_never() -> None:
    for rate in (0.0, 1.0):
        fault = Fault("poll-500", rate=rate)
        assert {bool([*striking([fault], "poll", 0, "1", seen)]) for seen in range(500)} == {rate == 1.0}


def test_a_fault_strikes_at_its_own_stage_only() -> None:
    assert [*striking([Fault("poll-500")], "post", 0, "1", 0)] == []


def test_the_help_names_every_fault_with_what_it_does() -> None:
    lines = describe_faults().splitlines()
    for kind in KINDS.values():
        assert any(line.strip().startswith(kind.name) and line.endswith(kind.help) for line in lines), kind.name
    assert max(map(len, lines)) <= 120
