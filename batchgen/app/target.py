"""What a command is about, and what it has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.core.plan import OnChanged, Selection
from batchgen.core.window import Rate
from batchgen.errors import UsageProblem
from batchgen.manifest import LoadOptions, Manifest, load
from batchgen.report.commands import Commands
from batchgen.settings import (
    DEFAULT_BASE_URL,
    DEFAULT_RATE,
    Key,
    OnNoCredit,
    Settings,
    base_url_from,
    micro_usd_from,
    rate_from,
    seconds_from,
)
from batchgen.store.paths import StatePaths, state_paths


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command has to say: as text, as JSON, and with which exit code."""

    text: str = ""
    data: Any = None
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """A manifest as it was named on the command line, and the options that were given with it."""

    manifest: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sandbox(self) -> bool:
        """Whether the rehearsal is meant."""
        return bool(self.options.get("sandbox"))

    @property
    def paths(self) -> StatePaths:
        """The state's files."""
        return state_paths(self.manifest, self.options.get("state"), sandbox=self.sandbox)

    def load(self) -> Manifest:
        """The manifest, checked. Raises ManifestInvalid or UsageProblem."""
        return load(self.manifest, load_options(self.options))

    def commands(self) -> Commands:
        """The command lines with which a person goes on from here: with the options that were given this time."""
        words = ["--sandbox"] if self.sandbox else []
        words += self._repeated("state")
        only_run = [word for name in REPEATED for word in self._repeated(name)]
        only_run += [word for schema in self.options.get("schemas") or () for word in ("--schema", schema)]
        only_run += [word for fault in self.options.get("sandbox_faults") or () for word in ("--sandbox-fault", fault)]
        only_run += [f"--{name}" for name in ("unvalidated", "assume-5xx-not-created") if self._is_set(name)]
        return Commands(str(self.manifest), tuple(words), tuple(only_run))

    def _repeated(self, name: str) -> list[str]:
        value = self.options.get(name)
        return [] if value is None else [f"--{name.replace('_', '-')}", str(value)]

    def _is_set(self, name: str) -> bool:
        return bool(self.options.get(name.replace("-", "_")))


# Not --max-cost, --only, --limit, --retry-failed, --changed: those decide what to do, each time anew.
REPEATED = (
    "base_url",
    "output_dir",
    "rate_limit",
    "concurrency",
    "run_timeout",
    "download_concurrency",
    "on_no_credit",
    "log_file",
    "sandbox_latency",
    "sandbox_balance",
)


def load_options(options: Mapping[str, Any]) -> LoadOptions:
    """How to read the manifest: `--schema` is FILE, or MODEL=FILE."""
    pairs = (text.rpartition("=") for text in options.get("schemas", ()))
    return LoadOptions(
        schemas=tuple((model or None, Path(file)) for model, _, file in pairs),
        unvalidated=bool(options.get("unvalidated")),
    )


def selection_of(options: Mapping[str, Any], manifest: Manifest) -> Selection:
    """Which runs are meant."""
    changed = options.get("changed") or manifest.settings.get("changed") or "ask"
    return Selection(
        only=tuple(options.get("only") or ()),
        limit=options.get("limit"),
        retry_failed=bool(options.get("retry_failed")),
        changed=OnChanged(str(changed)),
    )


def rate_of(target: Target, manifest: Manifest) -> Rate:
    """The request window of each key."""
    text = target.options.get("rate_limit") or manifest.settings.get("rate_limit")
    return rate_from(str(text)) if text else DEFAULT_RATE


def output_dir_of(target: Target, manifest: Manifest) -> Path:
    """The folder for the videos: the option as seen from here, the manifest's own as seen from the manifest."""
    chosen = target.options.get("output_dir")
    folder = Path(chosen) if chosen else target.manifest.parent / (manifest.output_dir or "videos")
    return folder / "sandbox" if target.sandbox else folder


def base_url_of(target: Target) -> str:
    """The service's base URL. Raises UsageProblem."""
    return base_url_from(target.options.get("base_url") or DEFAULT_BASE_URL)


def settings_of(target: Target, manifest: Manifest, base_url: str, keys: tuple[Key, ...]) -> Settings:
    """Flags, then environment (click has merged the two), then the manifest, then defaults. Raises UsageProblem."""

    def given(name: str) -> Any:
        value = target.options.get(name)
        return manifest.settings.get(name) if value is None else value

    most, timeout = given("max_cost"), given("run_timeout")
    return Settings(
        base_url=base_url,
        keys=keys,
        output_dir=output_dir_of(target, manifest),
        rate=rate_of(target, manifest),
        concurrency=_whole(given("concurrency"), "concurrency"),
        download_concurrency=_whole(given("download_concurrency"), "download_concurrency") or 8,
        run_timeout_s=1800.0 if timeout is None else seconds_from(str(timeout)),
        max_cost_micro_usd=None if most is None else micro_usd_from(str(most)),
        on_no_credit=OnNoCredit(str(given("on_no_credit") or "stop")),
        assume_5xx_not_created=bool(target.options.get("assume_5xx_not_created")),
    )


def _whole(value: object, name: str) -> int | None:
    if value is None:
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise UsageProblem(f"{name} must be a whole number from 1, not {value!r}.")
    return number
