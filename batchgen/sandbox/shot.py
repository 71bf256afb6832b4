"""What a run asks to be filmed: its input with the gaps filled by the rehearsal's assumptions, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.models.registry import Model, get
from batchgen.records import DEFAULT_MODEL

DEFAULTS: Mapping[str, Any] = {"aspect_ratio": "16:9", "resolution": "720p", "duration": "5", "generate_audio": False}
MODE_SIZES = {"std": ("720p", 1), "pro": ("1080p", 1), "4K": ("1080p", 2)}  # kling's modes: resolution, enlargement
MAX_SECONDS = 60.0
FPS = 24


@dataclass(frozen=True, slots=True)
class Shot:
    """A video to render. Sizes are pixels; `label` says in words what was asked for."""

    prompt: str
    width: int
    height: int
    seconds: float
    sound: bool
    label: str
    images: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """The number of frames, at `FPS` a second."""
        return max(1, round(self.seconds * FPS))


def filled(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """The input with every gap filled by what the rehearsal takes as default, where the model knows the parameter.

    The service's defaults are unknown (runbase-api.md); a duration is the shortest that the model offers.
    """
    properties = model.input_schema["properties"]
    defaults = {name: value for name, value in DEFAULTS.items() if name in properties}
    if choices := properties.get("duration", {}).get("enum"):
        defaults["duration"] = choices[0]
    return {**defaults, **given}


def shot_of(model: Model, given: Mapping[str, Any], video: int = 1, videos: int = 1) -> Shot:
    """The shot for one of a run's videos."""
    whole = filled(model, given)
    width, height = _size(model, whole)
    seconds = min(float(whole.get("duration", DEFAULTS["duration"])), MAX_SECONDS)
    sound = whole.get("generate_audio") is True
    parts = [model.id, whole.get("aspect_ratio"), whole.get("resolution") or whole.get("mode"), f"{width}×{height}"]
    parts += [f"{seconds:g} s", "sound" if sound else "silent", f"{video} of {videos}" if videos > 1 else None]
    return Shot(
        prompt=str(whole["prompt"]),
        width=width,
        height=height,
        seconds=seconds,
        sound=sound,
        label=" · ".join(filter(None, parts)),
        images=tuple(whole.get("image_urls") or ()),
    )


def price_of(model: Model, given: Mapping[str, Any], otherwise: int) -> int:
    """What the run costs in micro-dollars: the model's estimate with the gaps filled, or `otherwise` without one."""
    price = model.estimate_micro_usd(filled(model, given))
    return otherwise if price is None else price


def _size(model: Model, whole: Mapping[str, Any]) -> tuple[int, int]:
    """The size for the aspect ratio asked for, with or without an image; the default model's for want of better."""
    resolution, enlargement = MODE_SIZES.get(str(whole.get("mode")), (whole.get("resolution", "720p"), 1))
    asked = {"aspect_ratio": whole.get("aspect_ratio", "16:9"), "resolution": resolution}
    fallback = get(DEFAULT_MODEL)
    size = model.size(asked) or (fallback and fallback.size(asked)) or (1280, 720)
    return size[0] * enlargement, size[1] * enlargement
