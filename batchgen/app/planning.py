"""From a manifest and a state to a plan, with what it takes from the models and the disk."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from batchgen.core.latency import Prior
from batchgen.core.plan import Plan, Selection, make_plan
from batchgen.errors import UsageProblem
from batchgen.manifest import Manifest
from batchgen.models import registry
from batchgen.records import Record, SavedFile, Status
from batchgen.report.words import counted


def plan_for(manifest: Manifest, records: dict[str, Record], selection: Selection, folder: Path) -> Plan:
    """The plan, after a look at whether the downloaded files are still there. `folder`: the state's."""
    missing = {
        record.id
        for record in records.values()
        if record.status is Status.DOWNLOADED and not all(_is_there(folder, file) for file in record.files)
    }
    return make_plan(manifest.runs, records, selection, missing)


def _is_there(folder: Path, file: SavedFile) -> bool:
    """Whether the video is still where it was put, as long as it was. Another file under its name is not the video."""
    try:
        found = (folder / file.path).stat()
    except (OSError, ValueError):  # a name that no file can have is one that no file has
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == file.bytes


def refuse_nothing_selected(plan: Plan, selection: Selection) -> None:
    """A pattern that matches no id is a slip of the pen, not a batch of nothing. Raises UsageProblem."""
    rows = [step for step in plan.steps if step.run]
    if selection.only and not any(selection.picks(step.id) for step in rows):
        patterns = ", ".join(selection.only)
        raise UsageProblem(f"--only {patterns} matches none of the {len(rows)} runs.", "batchgen plan shows their ids.")


def refuse_undecided(plan: Plan) -> None:
    """Stops before anything is sent when rows have changed that were paid for, and nobody has said what to do."""
    if not plan.undecided:
        return
    shown = [f"    {step.id}: {step.why}" for step in plan.undecided[:10]]
    more = len(plan.undecided) - len(shown)
    raise UsageProblem(
        f"{counted(len(plan.undecided), 'row has', 'rows have')} changed since they were paid for; nothing was sent:\n"
        + "\n".join(shown)
        + (f"\n    … and {more} more (batchgen plan lists them)" if more else ""),
        "Add --changed render to render them anew beside their old videos, or --changed keep to keep those.",
    )


def registry_estimate(model: str, given: Mapping[str, Any]) -> int | None:
    """The bundled estimate of a run's price in micro-dollars; None where it is unknown."""
    known = registry.get(model)
    return known.estimate_micro_usd(given) if known else None


def scaled_seconds(scale: float) -> Callable[[str, Mapping[str, Any]], Prior | None]:
    """The bundled guess of a run's latency, as (low, high) in seconds, times the scale; None where it is unknown."""

    def usual(model: str, given: Mapping[str, Any]) -> Prior | None:
        known = registry.get(model)
        seconds = known.usual_seconds(given) if known else None
        return seconds and (seconds[0] * scale, seconds[1] * scale)

    return usual
