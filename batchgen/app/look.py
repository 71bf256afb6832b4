"""The commands that only look, and the one that writes a starter: nothing here sends anything or changes a state."""

from __future__ import annotations

import os
from pathlib import Path

from batchgen import rehearse
from batchgen.app.planning import plan_for
from batchgen.app.target import Reply, Target, rate_of, selection_of
from batchgen.core.cost import Prices
from batchgen.errors import ManifestInvalid, UsageProblem
from batchgen.models import registry
from batchgen.settings import keys_from
from batchgen.store.ledger import read_state


def init(file: Path, *, force: bool) -> Reply:
    """Writes a starter manifest. Raises UsageProblem."""
    from batchgen.manifest.starter import starter

    kind = {".yaml": "yaml", ".yml": "yaml", ".csv": "csv"}.get(file.suffix.lower())
    if kind is None:
        raise UsageProblem(f"{file}: a starter is written as .yaml or .csv.", "For example: batchgen init shots.yaml")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as out:
            out.write(starter(kind))
    except FileExistsError:
        raise UsageProblem(f"{file} exists already; it was left as it is.", "Overwrite it with --force.") from None
    except OSError as problem:
        raise UsageProblem(f"{file} cannot be written: {problem.strerror or problem}.") from problem
    text = (
        f"Wrote {file}. Next:\n"
        f"  batchgen validate {file}\n"
        f"  batchgen run {file} --sandbox    (a rehearsal: no key, no cost)\n"
        f"  batchgen run {file}              (the real thing: needs RUNBASE_API_KEY)"
    )
    return Reply(text)


def validate(target: Target) -> Reply:
    """Every problem of the manifest, or how many runs it asks for."""
    from batchgen.report.listing import problems_json, problems_text

    try:
        manifest = target.load()
    except ManifestInvalid as invalid:
        data = {"valid": False, "problems": problems_json(invalid.problems)}
        return Reply(problems_text(invalid.problems), data, invalid.exit_code)
    count = len(manifest.runs)
    text = f"{target.manifest}: {count} run{'' if count == 1 else 's'}, no problem."
    return Reply(text, {"valid": True, "runs": count, "problems": []})
