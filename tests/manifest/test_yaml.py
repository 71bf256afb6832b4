"""YAML is read as a person means it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from batchgen.errors import ManifestInvalid
from batchgen.manifest import LoadOptions, document
from batchgen.records import DEFAULT_MODEL, Place, sha256_of
from tests.manifest.helpers import inputs, loaded, problems, runs

MEANT = [
    ("aspect_ratio: 16:9", "aspect_ratio", "16:9"),
    ("aspect_ratio: '16:9'", "aspect_ratio", "16:9"),
    ("duration: 8", "duration", "8"),
    ("duration: '8'", "duration", "8"),
    ("duration: 8.0", "duration", "8"),
    ("duration: !!int 8", "duration", "8"),
    ("duration: !!str 8", "duration", "8"),
    ("generate_audio: yes", "generate_audio", True),
    ("generate_audio: Off", "generate_audio", False),
    ("generate_audio: 'false'", "generate_audio", False),
    ("generate_audio: 1", "generate_audio", True),
    ("image_urls: https://a.example/1.png", "image_urls", ["https://a.example/1.png"]),
    (
        "image_urls: [https://a.example/1, 'http://b.example/2']",
        "image_urls",
        ["https://a.example/1", "http://b.example/2"],
    ),
]


@pytest.mark.parametrize(("line", "name", "value"), MEANT)
def test_a_value_is_what_the_schema_makes_of_its_text(tmp_path: Path, line: str, name: str, value: object) -> None:
    (found,) = inputs(tmp_path, "yaml", f"runs:\n- prompt: a cat\n  {line}\n")
    assert found == {"prompt": "a cat", name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    "prompt", ["2024", "no", "12:30:45", "1e3", "true", "0x1F", "2024-01-01", "1_000", "=", ".inf"]
)
def test_a_prompt_that_yaml_would_make_something_else_of_is_still_text(tmp_path: Path, prompt: str) -> None:
    assert inputs(tmp_path, "yaml", f"- prompt: {prompt}\n- {prompt}\n") == [{"prompt": prompt}, {"prompt": prompt}]


@pytest.mark.parametrize("null", ["", "~", "null"])
def test_null_takes_a_default_back(tmp_path: Path, null: str) -> None:
    text = f"defaults: {{duration: 8, resolution: 480p}}\nruns:\n- prompt: x\n  duration: {null}\n"
    assert inputs(tmp_path, "yaml", text) == [{"prompt": "x", "resolution": "480p"}]


def test_a_list_is_taken_as_the_runs(tmp_path: Path) -> None:
    first, second = runs(tmp_path, "yml", "- a cat\n- {prompt: a dog, id: dog}\n")
    assert (first.input, first.model) == ({"prompt": "a cat"}, DEFAULT_MODEL)
    assert (second.id, second.place.line, second.place.column) == ("dog", 2, 3)


def test_parameters_stand_flat_or_under_input_or_both(tmp_path: Path) -> None:
    text = "- {id: a, input: {prompt: x, duration: 4}}\n- {id: b, prompt: x, input: {duration: 4}}\n"
    assert inputs(tmp_path, "yaml", text) == [{"prompt": "x", "duration": "4"}] * 2


def test_the_nearest_model_wins(tmp_path: Path) -> None:
    text = "model: hailuo/pro\nruns: [x, {prompt: x, model: google/veo-3}]\n"
    assert [run.model for run in runs(tmp_path, "yaml", text)] == ["hailuo/pro", "google/veo-3"]
    text = "defaults: {model: hailuo/pro}\nruns: [x]\n"
    assert [run.model for run in runs(tmp_path, "yaml", text)] == ["hailuo/pro"]


def test_the_blocks_beside_the_runs_are_handed_on_checked(tmp_path: Path) -> None:
    text = """
output: {dir: ../videos}
settings: {concurrency: 4, rate_limit: 20 / 10, max_cost: 2.50, run_timeout: 30m, download_concurrency: 2,
           on_no_credit: wait, changed: keep}
x-mine: &base {resolution: 480p}
runs:
- <<: *base
  prompt: x
"""
    manifest = loaded(tmp_path, "yaml", text)
    assert manifest.output_dir == "../videos"
    assert manifest.settings == {
        "concurrency": 4,
        "rate_limit": "20/10",
        "max_cost": 2.5,
        "run_timeout": 1800.0,
        "download_concurrency": 2,
        "on_no_credit": "wait",
        "changed": "keep",
    }
    assert manifest.runs[0].input == {"prompt": "x", "resolution": "480p"}


def test_merging_prefers_what_is_nearer(tmp_path: Path) -> None:
    text = """
x-a: &a {duration: 4, resolution: 480p}
x-b: &b {duration: 8, aspect_ratio: 1:1}
runs:
- prompt: x
  resolution: 720p
  <<: [*a, *b]
"""
    expected = {"prompt": "x", "resolution": "720p", "duration": "4", "aspect_ratio": "1:1"}
    assert inputs(tmp_path, "yaml", text) == [expected]


def test_an_alias_stands_for_its_anchor_anywhere(tmp_path: Path) -> None:
    text = "- prompt: &words a cat\n- prompt: *words\n- *words\n"
    assert inputs(tmp_path, "yaml", text) == [{"prompt": "a cat"}] * 3


def test_block_text_and_unicode_come_through(tmp_path: Path) -> None:
    text = "- prompt: |\n    one\n    two\n- prompt: >-\n    one\n    two\n- prompt: 猫が歩く 🐈\n"
    assert [found["prompt"] for found in inputs(tmp_path, "yaml", text)] == ["one\ntwo\n", "one two", "猫が歩く 🐈"]


def test_inputs_hold_ordinary_strings_only(tmp_path: Path) -> None:
    """The reader's own kinds of string must not reach the state or the service."""
    (found,) = inputs(tmp_path, "yaml", "- {prompt: x, duration: 4, image_urls: ['https://a.example/x']}\n")
    assert {type(key) for key in found} == {str}
    assert type(found["prompt"]) is type(found["duration"]) is str
    urls = found["image_urls"]
    assert isinstance(urls, list)
    assert type(urls[0]) is str


def test_the_manifest_carries_its_own_digest_and_each_run_that_of_its_input(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, "yaml", "- {prompt: x, duration: 4}\n")
    assert manifest.sha256 == hashlib.sha256(b"- {prompt: x, duration: 4}\n").hexdigest()
    assert manifest.runs[0].input_sha256 == sha256_of({"prompt": "x", "duration": "4"})


UNCHECKED = [("5", 5), ("0x10", 16), ("0o17", 15), ("1.5", 1.5), ("true", True), ("yes", "yes"), ("null", None)]
UNCHECKED += [("'5'", "5"), ("16:9", "16:9"), ("[1, a]", [1, "a"]), ("{b: 2}", {"b": 2}), (".nan", ".nan")]


@pytest.mark.parametrize(("written", "value"), UNCHECKED)
def test_unvalidated_scalars_resolve_as_yaml_1_2_has_them(tmp_path: Path, written: str, value: object) -> None:
    text = f"- {{model: other/model, prompt: x, p: {written}}}\n"
    assert inputs(tmp_path, "yaml", text, LoadOptions(unvalidated=True)) == [{"prompt": "x", "p": value}]


def test_a_bundled_model_is_checked_all_the_same_when_others_need_not_be(tmp_path: Path) -> None:
    assert problems(tmp_path, "yaml", "- {prompt: x, p: 1}\n", LoadOptions(unvalidated=True)) == [
        "1:15: bytedance/seedance-1.5-pro takes no parameter p."
    ]


def test_windows_line_breaks_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    text = "runs:\n- prompt: |\n    a\n    b\n"
    plain = runs(tmp_path, "yaml", text)
    other = runs(tmp_path, "yaml", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert plain == other


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_both_parsers_give_the_same_values_and_places(monkeypatch: pytest.MonkeyPatch, loader: str) -> None:
    """PyYAML can come without libyaml; then the slower parser does the same work."""
    import yaml

    if loader == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    root = document.parse('a: 16:9\nb: ["8", &x yes]\nc: {<<: {d: 1}, e: *x}\n', "f").root
    assert root == {"a": "16:9", "b": ["8", "yes"], "c": {"e": "yes", "d": "1"}}
    assert isinstance(root, document.Mapping)
    assert (root.key("c").line, root.key("c").column) == (3, 1)
    with pytest.raises(ManifestInvalid) as caught:
        document.parse("a: [1, 2\nb: 'x", "f")
    assert len(caught.value.problems) == 1


def test_a_nested_place_points_at_the_item(tmp_path: Path) -> None:
    text = "- prompt: x\n  image_urls:\n  - https://a.example/1\n  - a.png\n"
    (found,) = problems(tmp_path, "yaml", text)
    assert found.startswith("4:5: a.png is a local file")


def test_a_wrong_default_is_told_once_at_the_default(tmp_path: Path) -> None:
    text = "defaults:\n  duration: 10\nruns: [a, b, c]\n"
    assert problems(tmp_path, "yaml", text) == ["2:13: duration must be one of 4, 8, 12, not 10. Did you mean 8?"]


def test_a_default_that_one_run_cannot_take_is_told_at_that_run(tmp_path: Path) -> None:
    text = "defaults:\n  duration: 8\nruns:\n- a\n- {prompt: b, model: hailuo/pro}\n"
    (found,) = problems(tmp_path, "yaml", text)
    assert found.startswith("5:22: hailuo/pro takes no parameter duration, which is among the defaults;")
    assert len(runs(tmp_path, "yaml", text.replace("pro}", "pro, duration: null}"))) == 2


def test_places_are_in_the_file_as_it_was_named(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "yaml", "runs:\n  - a cat\n")
    assert run.place == Place(str(tmp_path / "batch.yaml"), 2, 5)


def test_what_an_anchor_stands_on_may_have_any_name_at_the_top(tmp_path: Path) -> None:
    """It is there to be merged elsewhere; a name without an anchor is still a slip of the pen."""
    text = "base: &b {duration: 8}\nruns: [{<<: *b, prompt: A lamp}]"
    assert inputs(tmp_path, "yaml", text) == [{"duration": "8", "prompt": "A lamp"}]
    assert "unknown key base" in problems(tmp_path, "yaml", text.replace("&b ", "").replace("<<: *b, ", ""))[0]
