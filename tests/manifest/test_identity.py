"""A run keeps its name as long as it stays the same run, wherever its row stands."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.identity import MAX_ID, SLUG, Names, id_fault, slug
from tests.manifest.helpers import problems, runs

SLUGS = [
    ("A cat, on a mat!", "a-cat-on-a-mat"),
    ("  --  ", "run"),
    ("🐈🐈", "run"),
    ("", "run"),
    ("Ein großer Bär", "ein-großer-bär"),
    ("割れた茶碗が金継ぎで", "割れた茶碗が金継ぎで"),
    ("हिन्दी में बिल्ली", "हिन्दी-में-बिल्ली"),
    ("A slow aerial shot over the foggy harbour at dawn", "a-slow-aerial-shot-over-the-foggy"),
    ("x" * 60, "x" * SLUG),
    ("../../etc/passwd", "etc-passwd"),
]


@pytest.mark.parametrize(("prompt", "expected"), SLUGS, ids=range(len(SLUGS)))
def test_a_slug_is_the_prompts_first_words(prompt: str, expected: str) -> None:
    assert slug(prompt) == expected


@given(st.text(max_size=200))
def test_a_slug_is_short_and_holds_nothing_that_a_file_name_must_not(prompt: str) -> None:
    found = slug(prompt)
    assert 1 <= len(found) <= SLUG
    assert not set(found) & set('/\\:*?"<>|. \t\n\0')
    assert not found.startswith("-")
    assert not found.endswith("-")


def test_a_generated_id_is_slug_and_eight_hex_digits(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "txt", "A cat\n")
    head, _, digits = run.id.rpartition("-")
    assert head == "a-cat"
    assert len(digits) == 8
    int(digits, 16)


def test_moving_inserting_and_deleting_rows_moves_no_id(tmp_path: Path) -> None:
    lines = [f"prompt number {number}" for number in range(30)]
    before = {str(run.input["prompt"]): run.id for run in runs(tmp_path, "txt", "\n".join(lines))}
    random.Random(7).shuffle(lines)
    after = runs(tmp_path, "txt", "\n".join(["a new first line", *lines[5:]]))
    assert all(before.get(str(run.input["prompt"]), run.id) == run.id for run in after)


def test_a_row_is_the_same_run_in_every_format(tmp_path: Path) -> None:
    texts = {
        "yaml": "- {duration: 8, prompt: A cat}\n",
        "csv": "prompt,duration\nA cat,8.0\n",
        "tsv": "prompt\tduration\nA cat\t8\n",
        "jsonl": '{"prompt": "A cat", "duration": "8"}\n',
    }
    assert len({(run.id, run.input_sha256) for kind, text in texts.items() for run in runs(tmp_path, kind, text)}) == 1


def test_model_and_input_both_make_the_id(tmp_path: Path) -> None:
    text = "- x\n- {prompt: x, model: hailuo/pro}\n- {prompt: x, duration: 4}\n"
    assert len({run.id for run in runs(tmp_path, "yaml", text)}) == 3


def test_equal_rows_are_numbered(tmp_path: Path) -> None:
    first, second, third = runs(tmp_path, "txt", "A cat\nA cat\nA cat\n")
    assert [second.id, third.id] == [f"{first.id}-2", f"{first.id}-3"]


def test_a_generated_id_steps_aside_for_a_given_one_that_comes_later(tmp_path: Path) -> None:
    (taken,) = runs(tmp_path, "txt", "A cat\n")
    first, second, given_one = runs(tmp_path, "yaml", f"- A cat\n- A cat\n- {{id: {taken.id}, prompt: A dog}}\n")
    assert [first.id, second.id, given_one.id] == [f"{taken.id}-2", f"{taken.id}-3", taken.id]


def test_two_runs_under_the_same_eight_digits_are_told_apart() -> None:
    names = Names(())
    assert names.name("x", "0" * 64) == "x-00000000"
    assert names.name("x", "0" * 63 + "1") == "x-" + "0" * 63 + "1"
    assert names.name("x", "0" * 64) == "x-00000000-2"


def test_a_given_id_is_trimmed_text(tmp_path: Path) -> None:
    found = runs(tmp_path, "yaml", "- {id: 007, prompt: x}\n- {id: ' lamp ', prompt: x}\n- {id: null, prompt: y}\n")
    assert [run.id for run in found[:2]] == ["007", "lamp"]
    assert found[2].id.startswith("y-")


@pytest.mark.parametrize("text", ["", "a\tb", "a\x9fb", "a\u2028b", "x" * (MAX_ID + 1), "a\ud800"])
def test_an_id_that_no_file_or_terminal_could_show_is_refused(text: str) -> None:
    assert id_fault(text)


@pytest.mark.parametrize("text", ["lamp", "日本", "a/b", "a b", "x" * MAX_ID, "👩\u200d🚀"])
def test_an_ordinary_id_is_fine(text: str) -> None:
    assert id_fault(text) is None


def test_the_same_id_twice_names_both_places(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "yaml", "- {id: a, prompt: x}\n- {prompt: z}\n- {id: a, prompt: y}\n")
    assert found == "3:8: the id a is given twice; the first is at 1:8."
