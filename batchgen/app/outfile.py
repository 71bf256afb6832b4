"""Writing an export to a file: whole or not at all, and never over something that is not an earlier export."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from batchgen.app.target import Target, load_options
from batchgen.errors import UsageProblem
from batchgen.records import Record
from batchgen.store.files import replace_file
from batchgen.store.paths import state_paths

UTF8_MARK = b"\xef\xbb\xbf"
# How every file begins that `export` has written: enough of it to tell them from manifests and states.
_EARLIER_EXPORT = re.compile(
    rb'(?:\xef\xbb\xbf)?id,status,model,|(?:\[\s*)?\{"id":"(?:[^"\\]|\\.)*","status":"|\[\s*\]'
)
_START = 4096


def write(target: Target, records: Mapping[str, Record], output: Path, parts: Iterable[bytes], *, marked: bool) -> None:
    """Puts the parts in the place of the file. Raises UsageProblem, and then what was there still is.

    `marked`: with a byte order mark. Excel takes a CSV file without one for text in the system's old encoding. What
    goes to stdout has none: programs that read pipes would take it for a part of the first column's name.
    """
    output = output.resolve() if output.is_symlink() else output  # a rename would replace the link
    try:
        _refuse_other_files(target, records, output)
        replace_file(output, chain([UTF8_MARK] if marked else [], parts))
    except OSError as problem:
        raise UsageProblem(f"{output} cannot be written: {problem.strerror or problem}.") from problem


def _refuse_other_files(target: Target, records: Mapping[str, Record], output: Path) -> None:
    """Only an earlier export may be replaced, and no name may be taken that means something to this batch."""
    if output.resolve() in _meaningful(target, records, output):
        raise UsageProblem(f"{output} belongs to this batch; it was left as it is.", "Choose another name.")
    if not output.exists():
        return
    if not output.is_file():
        raise UsageProblem(f"{output} is not an ordinary file.", "Without --output the table goes to stdout.")
    with output.open("rb") as file:
        start = file.read(_START)
    if start and not _EARLIER_EXPORT.match(start):
        hint = "Remove it first, or choose another name."
        raise UsageProblem(f"{output} is there already, and is no earlier export; it was left as it is.", hint)


def _meaningful(target: Target, records: Mapping[str, Record], output: Path) -> set[Path]:
    """The manifest, its schemas, its states with what lies beside them, and every video that was ever downloaded."""
    states = [target.paths, *(state_paths(target.manifest, None, sandbox=sandbox) for sandbox in (False, True))]
    beside = [path for paths in states for path in (paths.state, paths.journal, paths.lock, paths.emergency)]
    schemas = [path for _, path in load_options(target.options).schemas]
    folder = target.paths.state.parent.resolve()
    files = (file.path for record in records.values() for attempt in record.attempts for file in attempt.files)
    # There may be very many: only those are looked at that have the same name.
    videos = [folder / path for path in files if path.endswith(output.name)]
    return {path.resolve() for path in (target.manifest, *schemas, *beside, *videos)}
