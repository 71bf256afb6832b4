"""Where a state's files lie."""

from __future__ import annotations

from pathlib import Path

from batchgen.store.paths import path_from, state_paths


def test_a_rehearsal_has_a_state_of_its_own_beside_the_manifest() -> None:
    manifest = Path("lists/shots.yaml")
    assert state_paths(manifest, None, sandbox=False).state == Path("lists/shots.state.json")
    assert state_paths(manifest, None, sandbox=True).state == Path("lists/shots.sandbox.state.json")


def test_the_files_beside_a_state_are_named_after_it() -> None:
    paths = state_paths(Path("shots.yaml"), Path("kept/here.json"), sandbox=False)
    names = [file.name for file in (paths.state, paths.journal, paths.lock, paths.emergency)]
    assert names == ["here.json", "here.json.journal", "here.json.lock", "here.json.emergency"]


def test_a_state_that_is_a_link_is_the_file_that_it_names(tmp_path: Path) -> None:
    """Else a fold would replace the link, and two states could both pay."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "state.json")
    assert state_paths(Path("shots.yaml"), link, sandbox=False).state == tmp_path / "real" / "state.json"


def test_paths_in_the_state_are_relative_to_its_folder(tmp_path: Path) -> None:
    assert path_from(tmp_path / "videos" / "lamp.mp4", tmp_path) == "videos/lamp.mp4"
    assert path_from(tmp_path / "out" / "lamp.mp4", tmp_path / "states") == "../out/lamp.mp4"
