"""Faults that can be switched on: for the whole service, for one run by its prompt, for one request by a header.

`NAME[=ARG][@WHEN]`, where WHEN is a probability (`@0.2`) or the first N times for each run (`@2x`); without it, always.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batchgen.errors import UsageProblem
from batchgen.sandbox.faulttable import KINDS, STAGES, WORDS, Kind

HEADER = "X-Sandbox-Fault"

_SPEC = re.compile(r"(?P<name>[A-Za-z0-9-]+)(?:=(?P<text>.*?))?(?:@(?P<when>[0-9.]+x?))?", re.DOTALL)
_IN_PROMPT = re.compile(r"\[fault:\s*([^\]]+?)\s*\]")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is switched on. It strikes with probability `rate`, or the `first` times for each run."""

    name: str
    text: str = ""
    rate: float = 1.0
    first: int | None = None

    def __str__(self) -> str:
        when = f"@{self.first}x" if self.first is not None else "" if self.rate == 1.0 else f"@{self.rate:g}"
        return f"{self.name}{f'={self.text}' if self.text else ''}{when}"

    @property
    def kind(self) -> Kind:
        """Its row in the table."""
        return KINDS[self.name]

    @property
    def number(self) -> float | None:
        """Its argument where that is a number; `None` without one, or where it is text."""
        return float(self.text) if self.text and self.kind.unit not in WORDS else None

    @classmethod
    def parse(cls, spec: str) -> Fault:
        """Read `NAME[=ARG][@WHEN]`; raises `errors.UsageProblem` with what is wrong, and the nearest name."""
        match = _SPEC.fullmatch(spec.strip())
        if match is None:
            raise UsageProblem(f"“{spec}” is no fault.", "Write NAME, NAME=ARG, NAME@0.2 or NAME@2x.")
        name, text, when = match["name"].lower(), match["text"] or "", match["when"] or ""
        if name not in KINDS:
            near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageProblem(
                f"There is no fault “{name}”.", f"{hint}`batchgen sandbox --list-faults` lists them all."
            )
        _check_argument(KINDS[name], text)
        rate, first = _when(spec, when)
        return cls(name, text, rate, first)


def faults_in_prompt(prompt: object) -> tuple[Fault, ...]:
    """The faults that a prompt switches on with `[fault:NAME=ARG]`; raises `errors.UsageProblem` as `Fault.parse`."""
    return tuple(map(Fault.parse, _IN_PROMPT.findall(prompt))) if isinstance(prompt, str) else ()


def faults_in_header(value: str) -> tuple[Fault, ...]:
    """The faults in an `X-Sandbox-Fault` header, separated by commas; raises `errors.UsageProblem` likewise."""
    return tuple(Fault.parse(spec) for spec in value.split(",") if spec.strip())


def striking(faults: Iterable[Fault], stage: str, seed: int, subject: str, seen: int) -> Iterator[Fault]:
    """Those of the faults that strike at this stage.

    `subject` names the run, and `seen` is the number of earlier requests of this stage for it. Whether a fault with a
    rate strikes follows from its arguments alone, so that a rehearsal with the same seed is the same rehearsal.
    """
    for fault in faults:
        if fault.kind.stage != stage:
            continue
        strikes = seen < fault.first if fault.first is not None else _draw(seed, fault.name, subject, seen) < fault.rate
        if strikes:
            yield fault


def describe_faults() -> str:
    """All faults as text for a terminal, by the stage at which they strike."""
    usage = {name: f"{name}{f'[={kind.unit}]' if kind.unit else ''}" for name, kind in KINDS.items()}
    width = max(map(len, usage.values()))
    lines = [
        "NAME[=ARG][@WHEN]; WHEN is a probability (@0.2) or the first N times for each run (@2x); without it, always.",
        f"For one run: [fault:NAME=ARG] in its prompt. For one request: the header {HEADER}: NAME=ARG.",
    ]
    for stage, where in STAGES.items():
        lines += ["", f"{where}:"]
        lines += [f"  {usage[kind.name]:<{width}}  {kind.help}" for kind in KINDS.values() if kind.stage == stage]
    return "\n".join(lines) + "\n"


def _check_argument(kind: Kind, text: str) -> None:
    if text and not kind.unit:
        raise UsageProblem(f"The fault “{kind.name}” takes no argument.", f"Write {kind.name} alone.")
    if text and kind.unit not in WORDS and not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text, re.ASCII):
        raise UsageProblem(f"The argument of {kind.name} is a number ({kind.unit}), not “{text}”.")
    if text and kind.unit == "STATUS" and not re.fullmatch(r"[2-5]\d\d", text, re.ASCII):
        raise UsageProblem(f"The argument of {kind.name} is an HTTP status from 200 to 599, not “{text}”.")
    if kind.unit in WORDS and not text.isprintable():
        raise UsageProblem(f"The argument of {kind.name} has characters that cannot be printed.")


def _when(spec: str, when: str) -> tuple[float, int | None]:
    """Read WHEN as (rate, first)."""
    try:
        if when.endswith("x"):
            return 1.0, int(when.removesuffix("x"))
        rate = float(when) if when else 1.0
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise UsageProblem(f"“{spec}”: after @ comes a probability from 0 to 1, or a number of times such as 2x.")
    return rate, None


def _draw(seed: int, *what: object) -> float:
    """A number from 0 up to 1 that is spread like chance, and always the same for the same arguments."""
    digest = hashlib.blake2b(repr((seed, *what)).encode(), digest_size=7).digest()
    return int.from_bytes(digest) / (1 << 56)
