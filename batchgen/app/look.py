"""The commands that only look, and the one that writes a starter: nothing here sends anything or changes a state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from batchgen.app.planning import plan_for, refuse_nothing_selected, registry_estimate
from batchgen.app.standing import pending, records_of
from batchgen.app.target import Reply, Target, rate_of, selection_of
from batchgen.core.cost import Prices, money_of
from batchgen.errors import ManifestInvalid, UsageProblem
from batchgen.manifest import Manifest
from batchgen.models import registry
from batchgen.records import Record, Status
from batchgen.settings import keys_from


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


def plan(target: Target) -> Reply:
    """What `run` would do. Raises what stops `run` as well: an invalid manifest, a damaged state."""
    from batchgen.report.forecast import forecast
    from batchgen.report.tables import plan_json, plan_text

    manifest = target.load()
    records, selection = records_of(target), selection_of(target.options, manifest)
    made = plan_for(manifest, records, selection, target.paths.state.parent)
    refuse_nothing_selected(made, selection)
    prices = Prices(records.values(), registry_estimate)
    outlook = forecast(made, prices, rate_of(target, manifest).per_second * _key_count(target))
    money = money_of(records.values(), prices)
    return Reply(plan_text(made, outlook, money), plan_json(made, outlook, money))


def status(target: Target) -> Reply:
    """How the batch stands, also while another process works on it, and when the manifest is no longer valid."""
    from batchgen.report.tables import status_json, status_text

    records = records_of(target)
    shown = list(records.values())
    try:
        shown = _as_meant(target.load(), records)
    except (ManifestInvalid, UsageProblem):
        if not records:
            raise
    money = money_of(records.values(), Prices(records.values(), registry_estimate))
    commands = target.commands()
    return Reply(status_text(shown, money, commands), status_json(shown, money, commands))


def models(model: str | None) -> Reply:
    """The bundled models, or one with its parameters."""
    from batchgen.report.listing import model_json, model_text, models_json, models_text

    if model is None:
        known = [found for name in registry.model_ids() if (found := registry.get(name))]
        return Reply(models_text(known), models_json(known))
    found = registry.get(model)
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(model, registry.model_ids(), n=1)
        hint = f"Did you mean {near[0]}?" if near else "batchgen models lists them."
        raise UsageProblem(f"No model {model!r} is bundled.", hint)
    return Reply(model_text(found), model_json(found))


def schema() -> dict[str, Any]:
    """The JSON Schema of manifests."""
    from batchgen.manifest.schema import manifest_schema

    return manifest_schema()


def _as_meant(manifest: Manifest, records: dict[str, Record]) -> list[Record]:
    """A record for each row of the manifest, and those of rows taken out of it that a person should still see."""
    rows = {run.id: records.get(run.id) or pending(run) for run in manifest.runs}
    taken_out = (record for name, record in records.items() if name not in rows)
    nothing_in_them = (Status.PENDING, Status.FAILED)
    return [*rows.values(), *(record for record in taken_out if record.status not in nothing_in_them)]


def _key_count(target: Target) -> int:
    """How many keys the next run would have: each has a window of its own."""
    if target.sandbox:
        return 1
    try:
        return len(keys_from(os.environ))
    except UsageProblem:
        return 1
