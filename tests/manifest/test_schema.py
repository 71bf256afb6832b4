"""The schema that editors check a manifest with says what the program says."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from batchgen.manifest import document
from batchgen.manifest.coerce import resolved
from batchgen.manifest.schema import manifest_schema
from batchgen.manifest.settings_block import RULES
from batchgen.manifest.starter import starter
from batchgen.models import registry

EXAMPLES = Path(__file__).parents[2] / "manifests"


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(manifest_schema())


def fits(text: str) -> bool:
    """Whether an editor, which reads YAML 1.2, finds nothing wrong."""
    value: Any = resolved(document.parse(text, "f").root)
    return validator().is_valid(value)


def test_it_is_a_valid_schema() -> None:
    Draft7Validator.check_schema(manifest_schema())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_it_accepts_every_example(path: Path) -> None:
    assert fits(path.read_text(encoding="utf-8"))


def test_it_accepts_the_starter() -> None:
    assert fits(starter("yaml"))


FITTING = [
    "- a cat",
    "- {prompt: 2024, duration: 8, generate_audio: yes, aspect_ratio: 16:9}",
    "- {prompt: x, duration: '8', generate_audio: 'no', image_urls: https://a.example/x}",
    "runs: [{id: 7, input: {prompt: x, duration: 8}}]",
    "{model: kling/kling-3.0, runs: [{prompt: x, duration: 7.5, mode: 4K}, {prompt: x, model: hailuo/pro}]}",
    "{defaults: {model: bytedance/seedance-1-pro, duration: 10}, runs: [{prompt: x, duration: 5}]}",
    "{defaults: {prompt: x}, runs: [{duration: null}]}",
    "{x-mine: {anything: 1}, settings: {max_cost: 2.5, run_timeout: 30m, rate_limit: 20/10}, runs: [x]}",
]
TYPOS = [
    "- {promt: x}",
    "- {prompt: x, duration: 10}",
    "- {prompt: x, resolution: 1080P}",
    "- {prompt: x, generate_audio: maybe}",
    "- {prompt: x, model: bytedance/seedance-1.5}",
    "- {prompt: x, model: google/veo-3, duration: 4}",
    "{runz: [x]}",
    "{model: hailuo/pro, runs: [{prompt: x, duration: 4}]}",
    "{model: bytedance/seedance-1-pro, runs: [{prompt: x, duration: 4}]}",
    "{defaults: {model: bytedance/seedance-1-pro, duration: 4}, runs: [x]}",
    "{defaults: {duration: 5}, runs: [x]}",
    "{settings: {concurency: 4}, runs: [x]}",
    "{settings: {changed: rendr}, runs: [x]}",
    "{output: {folder: x}, runs: [x]}",
    "{runs: []}",
    "{model: hailuo/pro}",
    "- [x]",
]


@pytest.mark.parametrize("text", FITTING, ids=range(len(FITTING)))
def test_it_accepts_what_the_program_takes(text: str) -> None:
    assert fits(text)


@pytest.mark.parametrize("text", TYPOS, ids=range(len(TYPOS)))
def test_it_refuses_typos(text: str) -> None:
    assert not fits(text)


def test_it_knows_every_setting_and_every_model() -> None:
    schema = manifest_schema()
    assert set(schema["else"]["properties"]["settings"]["properties"]) == set(RULES)
    assert schema["else"]["properties"]["model"]["enum"] == list(registry.model_ids())


def test_every_parameter_is_described_for_the_editor() -> None:
    for name, definition in manifest_schema()["definitions"].items():
        if name.startswith("input:"):
            assert all(part["description"] for part in definition["properties"].values())
