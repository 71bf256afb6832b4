"""A file that cannot be read is said to be so, with the way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchgen.errors import UsageProblem
from batchgen.manifest import load
from tests.manifest.helpers import problems


def refused(path: Path) -> str:
    with pytest.raises(UsageProblem) as caught:
        load(path)
    return f"{caught.value} {caught.value.hint or ''}".strip()


def test_a_missing_file_brings_up_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "videos.yaml").write_text("- x\n")
    said = refused(tmp_path / "vidoes.yaml")
    assert said == f"{tmp_path}/vidoes.yaml does not exist. Did you mean {tmp_path}/videos.yaml?"


def test_a_missing_folder_is_just_missing(tmp_path: Path) -> None:
    assert refused(tmp_path / "no" / "a.yaml") == f"{tmp_path}/no/a.yaml does not exist."


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)
    folder = tmp_path / "a.yaml"
    folder.mkdir()
    assert "is a folder" in refused(folder)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert "is not an ordinary file" in refused(tmp_path / "a.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("- x\n")
    path.chmod(0)
    assert "cannot be read: Permission denied" in refused(path)


def test_a_failing_disk_is_a_usage_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> bytes:
        raise OSError(5, "Input/output error")

    path = tmp_path / "a.yaml"
    path.write_text("- x\n")
    monkeypatch.setattr("batchgen.manifest.source._most_of", fail)
    assert refused(path) == f"{path} cannot be read: Input/output error."


@pytest.mark.parametrize("name", ["a.json", "a", "a.xlsx", "yaml"])
def test_an_unknown_extension_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    assert "must be one of .yaml, .yml, .csv, .tsv, .jsonl, .ndjson, .txt." in refused(tmp_path / name)


def test_a_name_that_no_file_can_have_is_a_usage_problem() -> None:
    assert "cannot be the name of a file" in refused(Path("a\0.yaml"))


def test_a_name_that_is_too_long_is_a_usage_problem(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / ("x" * 5000 + ".yaml"))


def test_an_encoding_problem_points_at_the_character(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "yaml", "- ok\r\n- größe und \xfc".encode() + b"\xfc")
    assert found.startswith("2:14: the byte 0xFC is not UTF-8")


def test_a_file_beyond_all_measure_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    """A terabyte of holes: it takes no room on the disk and would take all of the memory."""
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "is larger than 64 MiB" in refused(path)


def test_a_file_of_the_systems_that_never_ends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    assert "is not an ordinary file" in refused(tmp_path / "a.yaml")
