"""The ledger on disk outlives its process, and is refused when it is not what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.errors import StateDamaged, StateLocked, UsageProblem
from batchgen.sandbox.ledger import TopUp
from batchgen.sandbox.ledgerfile import NAME, LedgerFile


def written(folder: Path) -> Path:
    with LedgerFile(folder) as file:
        file.append(TopUp(1))
        file.append(TopUp(2))
    return folder / NAME


def test_what_was_appended_is_loaded(tmp_path: Path) -> None:
    written(tmp_path / "new" / "folder")
    with LedgerFile(tmp_path / "new" / "folder") as file:
        assert file.load() == [TopUp(1), TopUp(2)]


def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with LedgerFile(tmp_path) as file:
        assert file.load() == [TopUp(1)]
        file.append(TopUp(3))
    with LedgerFile(tmp_path) as file:
        assert file.load() == [TopUp(1), TopUp(3)]


@pytest.mark.parametrize("line", [b"{}", b"[]", b"nonsense", b'{"run": {}}', b"\xff"])
def test_any_other_damage_is_refused_with_the_line(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path)
    path.write_bytes(line + b"\n" + path.read_bytes())
    with LedgerFile(tmp_path) as file, pytest.raises(StateDamaged, match=f"{NAME}:1"):
        file.load()


def test_a_folder_is_for_one_service_at_a_time(tmp_path: Path) -> None:
    with LedgerFile(tmp_path), pytest.raises(StateLocked):
        LedgerFile(tmp_path).__enter__()
    with LedgerFile(tmp_path):
        pass


def test_a_folder_that_is_none_is_a_usage_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageProblem, match="cannot be used"):
        LedgerFile(tmp_path / "file").__enter__()
