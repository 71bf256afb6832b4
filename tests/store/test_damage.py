"""A state and its journal with a byte damaged or an end cut off: the right state, or a refusal with the way out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from batchgen.errors import StateProblem
from batchgen.records import Record, Status
from batchgen.store.document import Header, decode_document
from batchgen.store.ledger import open_ledger, read_state
from batchgen.store.paths import StatePaths
from tests.core.samples import created, doubted, downloaded, failed, intended, planned, succeeded, ways

pytestmark = pytest.mark.anyio
HEADER = Header("https://runbase.net/api/v1", "batch.yaml", "ab" * 32)
LATER = (
    *(intended("run-pending"), created("run-pending"), succeeded("run-submitted"), downloaded("run-succeeded")),
    *(planned("new"), intended("new"), planned("lost"), intended("lost"), doubted("lost"), planned("bad")),
    *(intended("bad"), created("bad"), failed("bad")),
)


async def both(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[Path, bytes], dict[str, Record]]:
    """A state and a journal, each with runs in every status, as a kill leaves them; and what they mean together."""
    monkeypatch.setattr("batchgen.store.journal.KEPT_FREE_BYTES", 128)
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record_all([event for status in Status for event in ways(f"run-{status}")[status]])
        ledger.fold()
        for event in LATER:
            await ledger.record(event)
        return {path: path.read_bytes() for path in (paths.state, paths.journal)}, dict(ledger.records)


@pytest.mark.parametrize("which", ["state", "journal"])
async def test_any_damaged_byte_and_any_cut_gives_the_right_state_or_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    paths, rng = StatePaths(tmp_path / "s.json"), Random(7)
    files, true = await both(paths, monkeypatch)
    for path, data in files.items():
        path.write_bytes(data)
    path = paths.state if which == "state" else paths.journal
    data, refused, tried = files[path], 0, 0
    for at in range(len(data)):
        cut = [data[:at]] if at % 5 == 0 or at > len(data) - 5 else []
        for damaged in (*cut, data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]):
            path.write_bytes(damaged)
            tried += 1
            try:
                document = read_state(paths)
            except StateProblem as problem:
                refused += bool(problem.hint) and problem.exit_code == 5
                continue
            assert document is not None, at
            assert document.records == true, (at, damaged[at - 20 : at + 20])
    assert refused > 0.6 * tried  # the rest: in the room behind a journal, and white space


async def test_no_changed_byte_makes_our_own_layout_another_programs_with_another_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every value of every byte that says whose layout it is: the beginning and the end."""
    files, _ = await both(StatePaths(tmp_path / "s.json"), monkeypatch)
    path, data = next(iter(files.items()))
    true, taken = decode_document(path, data), 0
    for at in (*range(12), *range(len(data) - 34, len(data))):
        for value in range(256):
            with suppress(StateProblem):
                assert decode_document(path, data[:at] + bytes([value]) + data[at + 1 :]) == true, (at, value)
                taken += 1
    assert 46 <= taken < 0.7 * 46 * 256
