"""What to assume of a model's price, picture size and time: for estimates and rehearsal only, never the service's word.

The price goes by tokens: width × height × frames a second × seconds / pixels a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, TypeVar

Size = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A price by tokens. Dollars a million tokens are micro-dollars a token."""

    frames_per_second: int
    pixels_per_token: int
    silent: Fraction
    audio: Fraction

    def micro_usd(self, size: Size, seconds: str, audio: bool) -> int:
        """The price in micro-dollars, rounded to whole ones."""
        pixels = size[0] * size[1] * self.frames_per_second * Fraction(seconds)
        return round(pixels / self.pixels_per_token * (self.audio if audio else self.silent))


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The assumptions on one model; each part is `None` where nothing is known. `source` says where they come from."""

    source: str
    price: TokenPrice | None
    sizes: Mapping[str, Mapping[str, Size]] | None
    """By resolution, then by aspect ratio: width and height in pixels."""
    seconds: Mapping[str, tuple[float, float]] | None
    """By duration: the usual time from creation to end in seconds, least and most."""


def parse(vendor: Mapping[str, Any]) -> Assumptions:
    """The assumptions in a model file's vendor key."""
    price, sizes, seconds = vendor["price"], vendor["sizes"], vendor["seconds"]
    return Assumptions(
        source=vendor["source"],
        price=price and _token_price(price),
        sizes=sizes and {name: {ratio: (w, h) for ratio, (w, h) in row.items()} for name, row in sizes.items()},
        seconds=seconds and {name: (float(least), float(most)) for name, (least, most) in seconds.items()},
    )


def _token_price(price: Mapping[str, Any]) -> TokenPrice:
    rates = price["usd_per_million_tokens"]
    return TokenPrice(
        frames_per_second=price["frames_per_second"],
        pixels_per_token=price["pixels_per_token"],
        silent=Fraction(rates["silent"]),
        audio=Fraction(rates["audio"]),
    )


def sizes(assumed: Assumptions, given: Mapping[str, Any]) -> list[Size]:
    """Every picture size in pixels that the input leaves possible; none where nothing is known.

    With an image, hosts ignore the aspect ratio, so that any is possible.
    """
    if assumed.sizes is None:
        return []
    ratio = None if given.get("image_urls") else given.get("aspect_ratio")
    rows = _chosen(assumed.sizes, given.get("resolution"))
    return [size for row in rows for size in _chosen(row, ratio)]


def price_range(assumed: Assumptions, given: Mapping[str, Any]) -> tuple[int, int] | None:
    """The least and the most that the input can cost, in micro-dollars; `None` where nothing is known."""
    if assumed.price is None or assumed.seconds is None:
        return None
    durations = _chosen({name: name for name in assumed.seconds}, given.get("duration"))
    sound = given.get("generate_audio")
    sounds = (False, True) if sound is None else (bool(sound),)
    prices = [assumed.price.micro_usd(*case) for case in product(sizes(assumed, given), durations, sounds)]
    return (min(prices), max(prices)) if prices else None


def usual_seconds(assumed: Assumptions, given: Mapping[str, Any]) -> tuple[float, float] | None:
    """The usual time in seconds, least and most, over all durations that the input leaves possible."""
    times = _chosen(assumed.seconds or {}, given.get("duration"))
    return (min(least for least, _ in times), max(most for _, most in times)) if times else None


def _chosen(table: Mapping[str, T], choice: object) -> list[T]:
    """The chosen entry, all of them where nothing is chosen, none where the choice is not in the table."""
    if choice is None:
        return list(table.values())
    found = table.get(str(choice))
    return [] if found is None else [found]
