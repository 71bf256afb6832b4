"""What a batch runs with: frozen, and put together from flags, environment, manifest and defaults, in this order."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.core.window import Rate
from batchgen.errors import UsageProblem

DEFAULT_BASE_URL = "https://runbase.net/api/v1"
DEFAULT_RATE = Rate(20, 10.0)


class OnNoCredit(StrEnum):
    """What to do when the balance or the spending limit is used up."""

    STOP = "stop"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. Its text appears in no repr; `fingerprint` names it in the state and on the screen."""

    secret: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The start of the key's SHA-256, as in the state: `sha256:` and 8 hex digits."""
        return "sha256:" + hashlib.sha256(self.secret.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a batch is run. Times in seconds, money in micro-dollars.

    latency_scale: a rehearsal's runs take this share of the usual time.
    """

    base_url: str
    keys: tuple[Key, ...]
    output_dir: Path
    rate: Rate = DEFAULT_RATE
    concurrency: int | None = None
    download_concurrency: int = 8
    run_timeout_s: float = 1800.0
    max_cost_micro_usd: int | None = None
    on_no_credit: OnNoCredit = OnNoCredit.STOP
    assume_5xx_not_created: bool = False
    latency_scale: float = 1.0


def keys_from(environ: Mapping[str, str]) -> tuple[Key, ...]:
    """The keys in RUNBASE_API_KEYS (several, comma-separated) and RUNBASE_API_KEY, each once.

    Raises UsageProblem where there is none or one cannot stand in a header. The message shows no part of a key.
    """
    texts = [*environ.get("RUNBASE_API_KEYS", "").split(","), environ.get("RUNBASE_API_KEY", "")]
    secrets = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if not secrets:
        raise UsageProblem(
            "No API key: RUNBASE_API_KEY is not set.",
            "Set it with: export RUNBASE_API_KEY=sk-…   (or rehearse without a key and without cost: --sandbox)",
        )
    for number, secret in enumerate(secrets, start=1):
        if not all("!" <= character <= "~" for character in secret):
            which = "The API key" if len(secrets) == 1 else f"API key number {number}"
            raise UsageProblem(
                f"{which} holds a space, a line break or a character that no key has.",
                "Copy it once more from your account's page; the key itself is not shown here.",
            )
    return tuple(Key(secret) for secret in secrets)


def base_url_from(text: str) -> str:
    """The base URL without a trailing slash. Raises UsageProblem where it is none, or would send the key in clear.

    No message shows more of the text than the host: a key may have got into any other part of it, and the standard
    library's own messages quote those parts.
    """
    url = text.strip().rstrip("/")
    no_url = UsageProblem("The base URL is not an http(s) URL.", f"For example {DEFAULT_BASE_URL}")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise no_url
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise no_url from None
    if parts.scheme not in ("http", "https") or not host:
        raise no_url
    if parts.username or parts.password:
        raise UsageProblem("The base URL holds a user name or a password.", "Keys belong in RUNBASE_API_KEY.")
    if parts.query or parts.fragment:
        raise UsageProblem("The base URL holds more than an address: nothing may follow a “?” or “#”.")
    if parts.scheme == "http" and not _is_private(host):
        raise UsageProblem(f"http to {host} would send the API key unencrypted.", "Use https.")
    return url


def _is_private(host: str) -> bool:
    """Whether the host is plainly this machine or its own network: there http is a person's choice."""
    if (
        host == "localhost"
        or host.endswith((".localhost", ".local", ".internal"))
        or ("." not in host and ":" not in host)
    ):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def rate_from(text: str) -> Rate:
    """`N/SECONDS`, for example 20/10; `none` is no limit. Raises UsageProblem."""
    if text.strip().lower() in ("none", "off", "unlimited"):
        return Rate(None, 1.0)
    count, slash, seconds = text.partition("/")
    try:
        rate = Rate(int(count), float(seconds) if slash else 1.0)
    except ValueError:
        raise UsageProblem(
            f"The rate limit {text!r} is not N/SECONDS.", "For example 20/10: 20 requests in 10 seconds."
        ) from None
    if rate.limit is None or rate.limit < 1 or not 0 < rate.seconds < 1e6:
        raise UsageProblem(
            f"The rate limit {text!r} lets nothing through.", "For example 20/10: 20 requests in 10 seconds."
        )
    return rate


def micro_usd_from(text: str) -> int:
    """Dollars as micro-dollars: `12.50` or `$12.50` is 12500000. Raises UsageProblem.

    An amount is a whole number of micro-dollars below a trillion dollars: anything else is a slip of the hand.
    """
    try:
        amount = Decimal(text.strip().removeprefix("$")) * 1_000_000
        if not 0 <= amount < 10**18 or amount != int(amount):
            raise InvalidOperation
        return int(amount)
    except ArithmeticError:  # a NaN, or an exponent without measure
        raise UsageProblem(f"{text!r} is not an amount in dollars.", "For example 12.50") from None


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_from(text: str) -> float:
    """A time such as `90`, `90s`, `30m` or `1.5h`, in seconds. Raises UsageProblem."""
    number, factor = text.strip().lower(), 1.0
    if number and number[-1] in _UNITS:
        number, factor = number[:-1], _UNITS[number[-1]]
    try:
        seconds = float(number) * factor
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise UsageProblem(f"{text!r} is not a time.", "For example 90, 90s, 30m or 2h.")
    return seconds
