"""The bundled models say what the service documents, and no more."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from batchgen.models import registry
from batchgen.models.registry import Model
from batchgen.records import DEFAULT_MODEL

WIDE = {"16:9", "9:16", "4:3", "3:4", "1:1", "21:9"}

# Model, then each documented parameter with its choices, or its JSON type where any value of it passes.
DOCUMENTED: dict[str, dict[str, object]] = {
    "bytedance/seedance-1.5-pro": {
        "aspect_ratio": WIDE,
        "resolution": {"480p", "720p", "1080p"},
        "duration": {"4", "8", "12"},
        "generate_audio": "boolean",
        "image_urls": "array",
    },
    "bytedance/seedance-1-pro": {
        "aspect_ratio": WIDE,
        "resolution": {"720p", "1080p"},
        "duration": {"5", "10"},
        "image_urls": "array",
    },
    "bytedance/seedance-1-lite": {
        "aspect_ratio": WIDE,
        "resolution": {"480p", "720p", "1080p"},
        "duration": {"5", "10"},
        "image_urls": "array",
    },
    "kling/kling-3.0": {
        "aspect_ratio": {"16:9", "9:16", "1:1"},
        "duration": "number",
        "mode": {"std", "pro", "4K"},
        "image_urls": "array",
    },
    "google/veo-3": {
        "aspect_ratio": {"16:9", "9:16"},
        "resolution": {"720p", "1080p"},
        "image_urls": "array",
    },
    "hailuo/pro": {"image_urls": "array"},
}


def bundled(model_id: str) -> Model:
    model = registry.get(model_id)
    assert model is not None
    return model


def test_every_documented_model_is_bundled_and_the_default_comes_first() -> None:
    assert set(registry.model_ids()) == set(DOCUMENTED)
    assert registry.model_ids()[0] == DEFAULT_MODEL


@pytest.mark.parametrize("model_id", DOCUMENTED)
def test_a_schema_is_valid_and_takes_exactly_what_is_documented(model_id: str) -> None:
    schema = bundled(model_id).input_schema
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["prompt"]
    assert schema["additionalProperties"] is False
    taken = {name: set(part["enum"]) if "enum" in part else part["type"] for name, part in schema["properties"].items()}
    assert taken == {"prompt": "string", **DOCUMENTED[model_id]}


@pytest.mark.parametrize("model_id", DOCUMENTED)
def test_a_schema_describes_itself_and_invents_no_default_or_limit(model_id: str) -> None:
    schema = bundled(model_id).input_schema
    for part in (schema, *schema["properties"].values()):
        assert part["title"]
        assert part["description"]
        assert not {"default", "maxLength", "minLength", "maxItems", "minimum", "maximum", "pattern"} & set(part)


def test_an_unknown_model_is_none() -> None:
    assert registry.get("nobody/nothing") is None


# Prices at 16:9 in dollars, as hosts of the same model have them: silent, with sound.
PRICES = [
    ("480p", "4", 0.048, 0.096),
    ("480p", "8", 0.096, 0.193),
    ("480p", "12", 0.145, 0.289),
    ("720p", "4", 0.104, 0.207),
    ("720p", "8", 0.207, 0.415),
    ("720p", "12", 0.311, 0.622),
    ("1080p", "4", 0.233, 0.467),
    ("1080p", "8", 0.467, 0.933),
    ("1080p", "12", 0.700, 1.400),
]


@pytest.mark.parametrize(("resolution", "duration", "silent", "audio"), PRICES)
def test_estimates_agree_with_the_prices_of_hosts(resolution: str, duration: str, silent: float, audio: float) -> None:
    model = bundled(DEFAULT_MODEL)
    given = {"prompt": "x", "aspect_ratio": "16:9", "resolution": resolution, "duration": duration}
    assert model.estimate_micro_usd(given | {"generate_audio": False}) == pytest.approx(silent * 1e6, abs=600)
    assert model.estimate_micro_usd(given | {"generate_audio": True}) == pytest.approx(audio * 1e6, abs=600)


COMPLETE = {"aspect_ratio": "16:9", "resolution": "480p", "duration": "4", "generate_audio": False}


@pytest.mark.parametrize("left_out", COMPLETE)
def test_whatever_is_left_out_leaves_a_range_and_no_estimate(left_out: str) -> None:
    model = bundled(DEFAULT_MODEL)
    given = {name: value for name, value in COMPLETE.items() if name != left_out}
    prices = model.price_range_micro_usd(given)
    assert model.estimate_micro_usd(given) is None
    assert prices is not None
    assert prices[0] <= 48_211 <= prices[1]
    assert prices[0] < prices[1]


def test_an_image_leaves_the_size_open_because_hosts_then_ignore_the_aspect_ratio() -> None:
    model = bundled(DEFAULT_MODEL)
    assert model.size(COMPLETE) == (864, 496)
    assert model.size(COMPLETE | {"image_urls": ["https://example.com/a.png"]}) is None
    assert model.estimate_micro_usd(COMPLETE | {"image_urls": ["https://example.com/a.png"]}) is None


@pytest.mark.parametrize("model_id", [name for name in DOCUMENTED if name != DEFAULT_MODEL])
def test_an_unknown_price_is_unknown_and_not_nothing(model_id: str) -> None:
    model = bundled(model_id)
    assert model.estimate_micro_usd({"prompt": "x", "duration": "5", "resolution": "720p"}) is None
    assert model.price_range_micro_usd({"prompt": "x"}) is None
    assert model.usual_seconds({"prompt": "x"}) is None
    assert model.size({"prompt": "x"}) is None


def test_a_value_that_the_tables_do_not_know_has_no_estimate() -> None:
    assert bundled(DEFAULT_MODEL).price_range_micro_usd(COMPLETE | {"resolution": "8K"}) is None
    assert bundled(DEFAULT_MODEL).price_range_micro_usd(COMPLETE | {"duration": "7"}) is None


def test_usual_seconds_go_by_the_duration_and_span_all_of_them_without_one() -> None:
    model = bundled(DEFAULT_MODEL)
    assert model.usual_seconds({"duration": "4"}) == (40, 60)
    assert model.usual_seconds({"duration": "12"}) == (90, 120)
    assert model.usual_seconds({}) == (40, 120)
    assert model.usual_seconds({"duration": "5"}) is None


def test_every_combination_of_size_that_the_default_model_takes_is_known() -> None:
    model = bundled(DEFAULT_MODEL)
    properties = model.input_schema["properties"]
    for resolution in properties["resolution"]["enum"]:
        for ratio in properties["aspect_ratio"]["enum"]:
            size = model.size({"resolution": resolution, "aspect_ratio": ratio})
            assert size is not None
            wide, high = map(int, ratio.split(":"))
            assert size[0] / size[1] == pytest.approx(wide / high, rel=0.03)
