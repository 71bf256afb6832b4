"""The quick test of an input accepts nothing that jsonschema would refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from batchgen.manifest.checker import Checker, _acceptance
from batchgen.models import registry

PROBES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.sampled_from(["16:9", "480p", "720p", "4", "8", "5", "pro", "4K"]),
    st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
NAMES = st.sampled_from(
    ["prompt", "aspect_ratio", "resolution", "duration", "generate_audio", "image_urls", "mode", "other"]
)
INPUTS = st.dictionaries(NAMES, PROBES, max_size=5) | st.fixed_dictionaries(
    {"prompt": st.text(max_size=3)}, optional={"duration": st.sampled_from(["4", "5"]), "mode": st.just("4K")}
)


@given(st.sampled_from(registry.model_ids()), INPUTS)
def test_the_quick_test_agrees_with_jsonschema(model_id: str, value: dict[str, Any]) -> None:
    model = registry.get(model_id)
    assert model is not None
    accepts = _acceptance(model.input_schema)
    assert accepts is not None
    assert accepts(value) == Draft202012Validator(dict(model.input_schema)).is_valid(value)


RICH: list[dict[str, Any]] = [
    {"type": "object", "properties": {}},
    {"type": "object", "additionalProperties": False, "properties": {}, "minProperties": 1},
    {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "string", "minLength": 1}}},
    {"type": "object", "additionalProperties": False, "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "additionalProperties": False, "properties": {"a": True}},
    {"type": "object", "additionalProperties": False, "properties": {"a": {"enum": [1]}}},
    {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "integer"}}},
]


@pytest.mark.parametrize("schema", RICH, ids=range(len(RICH)))
def test_a_schema_that_says_more_has_no_quick_test(schema: dict[str, Any]) -> None:
    assert _acceptance(schema) is None


def test_a_sound_manifest_needs_no_jsonschema(tmp_path: Path) -> None:
    """Its import alone takes 68 ms, a third of what `validate` may take."""
    import subprocess

    path = tmp_path / "batch.yaml"
    path.write_text("- {prompt: x, duration: 8, image_urls: [https://a.example/x]}\n")
    code = (
        "import sys, pathlib, batchgen.manifest as m; before = {'yaml', 'jsonschema'} & set(sys.modules);"
        f"m.load(pathlib.Path({str(path)!r})); print(sorted(before), 'jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"


URLS = ["https://a.example/x.png", "HTTP://a.example", "data:image/png;base64,AAAA", "https://user@h.example:8/x?y#z"]


@pytest.mark.parametrize("url", URLS)
def test_web_addresses_and_data_urls_pass(url: str) -> None:
    model = registry.get("hailuo/pro")
    assert model is not None
    assert Checker(model.id, model.input_schema, "it").check({"prompt": "x", "image_urls": [url]}).faults == []


LOCAL = ["a.png", "./a.png", "/home/me/a.png", "C:\\a.png", "c:/a.png", "file:///a.png", "~/a.png", "", "a b"]
NEITHER = ["ftp://a.example/x", "s3://bucket/x", "http://", "https:///x", "https://a.example/a b"]


@pytest.mark.parametrize("url", LOCAL)
def test_a_local_file_is_refused_with_the_reason(url: str) -> None:
    model = registry.get("hailuo/pro")
    assert model is not None
    (fault,) = Checker(model.id, model.input_schema, "it").check({"prompt": "x", "image_urls": [url]}).faults
    assert "the service documents no upload" in fault.message
    assert fault.path == ("image_urls", 0)


@pytest.mark.parametrize("url", NEITHER)
def test_what_the_service_cannot_fetch_is_refused(url: str) -> None:
    model = registry.get("hailuo/pro")
    assert model is not None
    assert len(Checker(model.id, model.input_schema, "it").check({"prompt": "x", "image_urls": [url]}).faults) == 1
