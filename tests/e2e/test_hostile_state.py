"""A state that names files which are not ours: nothing of them is written, removed, or taken for a video."""

from __future__ import annotations

import json

from tests.e2e.conftest import QUICK, Shell

STATE = "shots.sandbox.state.json"


PATHS = {
    "up": "../secret",
    "absolute": "{outside}/secret",
    "detour": "videos/sandbox/../../../secret",
    "long": "x" * 5000,
    "nul": "a\0b",
    "folder": ".",
    "short": "videos/sandbox/short.mp4",
}
SHOTS = "runs:\n" + "".join(f"- {{id: {name}, prompt: {name}, resolution: 480p, duration: 4}}\n" for name in PATHS)


def test_files_elsewhere_are_left_alone_and_are_no_videos(shell: Shell) -> None:
    """Nor is a video that was cut short. All are fetched again, and none is paid for again."""
    outside = shell.folder.parent
    (outside / "secret").write_bytes(b"not a video")
    shell.write("shots.yaml", SHOTS)
    assert shell("run", "shots.yaml", "--sandbox", *QUICK).code == 0
    state = json.loads((shell.folder / STATE).read_text())
    for name, path in PATHS.items():
        run = state["runs"][name]
        for holder in (run, run["attempts"][-1]):
            holder["files"] = [{**holder["files"][0], "path": path.format(outside=outside)}]
    (shell.folder / STATE).write_text(json.dumps({**state, "checksum": ""}))
    film = shell.folder / PATHS["short"]
    film.write_bytes(film.read_bytes()[:-1])
    assert f"{len(PATHS)} to download again" in shell("plan", "shots.yaml", "--sandbox").out
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 0, said
    assert (outside / "secret").read_bytes() == b"not a video"
    for run in shell.state(STATE).values():
        [file] = run["files"]
        assert (shell.folder / file["path"]).stat().st_size == file["bytes"]
        assert (shell.folder / file["path"]).resolve().parent == shell.folder / "videos" / "sandbox"
    assert len(shell.accepted("shots.sandbox.service")) == len(PATHS)
