"""The bundled models: one JSON Schema file each, read when first asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from batchgen.models import assumptions
from batchgen.models.assumptions import Assumptions
from batchgen.records import DEFAULT_MODEL

VENDOR_KEY = "x-batchgen"


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its name at the service, its input's JSON Schema (draft 2020-12), and assumptions for estimates.

    No price or time here is the service's word. `None` is unknown, which is never the same as nothing.
    """

    id: str
    title: str
    description: str
    input_schema: Mapping[str, Any] = field(repr=False)
    assumed: Assumptions = field(repr=False)

    @property
    def source(self) -> str:
        """Where the assumptions come from, in words for a person."""
        return self.assumed.source

    def estimate_micro_usd(self, given: Mapping[str, Any]) -> int | None:
        """What a run with this input should cost, in micro-dollars; `None` where the input or the price leaves it open.

        Whatever is left out takes the service's default, which is not documented: such a run has no estimate, only
        perhaps a `price_range_micro_usd`.
        """
        prices = self.price_range_micro_usd(given)
        return prices[0] if prices and prices[0] == prices[1] else None

    def price_range_micro_usd(self, given: Mapping[str, Any]) -> tuple[int, int] | None:
        """The least and the most that such a run should cost, in micro-dollars; `None` where nothing is known."""
        return assumptions.price_range(self.assumed, given)

    def usual_seconds(self, given: Mapping[str, Any]) -> tuple[float, float] | None:
        """How long such a run usually takes from creation to end, in seconds, least and most; `None` if unknown."""
        return assumptions.usual_seconds(self.assumed, given)

    def size(self, given: Mapping[str, Any]) -> tuple[int, int] | None:
        """Width and height of the picture in pixels; `None` where the input or the model leaves them open."""
        sizes = assumptions.sizes(self.assumed, given)
        return sizes[0] if len(sizes) == 1 else None


def model_ids() -> tuple[str, ...]:
    """The names of all bundled models, the default first, then by name."""
    return tuple(_models())


def get(model_id: str) -> Model | None:
    """The bundled model of that name, or `None`."""
    return _models().get(model_id)


@cache
def _models() -> Mapping[str, Model]:
    from importlib import resources  # here, because it is slow to import and most commands ask for no model

    files = (entry for entry in resources.files("batchgen.models").iterdir() if entry.name.endswith(".json"))
    models = [_model(json.loads(entry.read_text(encoding="utf-8"))) for entry in files]
    models.sort(key=lambda model: (model.id != DEFAULT_MODEL, model.id))
    return MappingProxyType({model.id: model for model in models})


def _model(schema: dict[str, Any]) -> Model:
    vendor = schema[VENDOR_KEY]
    return Model(
        id=vendor["model"],
        title=schema["title"],
        description=schema["description"],
        input_schema=schema,
        assumed=assumptions.parse(vendor),
    )
