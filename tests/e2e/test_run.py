"""The main job as a user does it: a list of prompts becomes a folder of videos, once, whatever comes between."""

from __future__ import annotations

import json
from pathlib import Path

import av

from tests.e2e.conftest import QUICK, Shell

SHOTS = """\
defaults: {resolution: 480p, duration: 4, aspect_ratio: 16:9}
runs:
  - {id: lamp, prompt: A lamp on a desk}
  - {id: sea, prompt: The sea at night, generate_audio: yes}
  - {id: tower, prompt: Ein Turm in München, aspect_ratio: 9:16}
"""


def many(count: int) -> str:
    """A manifest of so many runs."""
    return "id,prompt,resolution,duration\n" + "".join(f"r{n:03},Prompt number {n},480p,4\n" for n in range(count))


def test_a_manifest_becomes_playable_videos_of_the_size_and_sound_that_were_asked_for(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 0, said
    runs = shell.state("shots.sandbox.state.json")
    assert {name: run["status"] for name, run in runs.items()} == dict.fromkeys(("lamp", "sea", "tower"), "downloaded")
    shown = {}
    for name, run in runs.items():
        [file] = run["files"]
        path = shell.folder / file["path"]
        assert path == shell.folder / "videos" / "sandbox" / f"{name}.mp4"
        assert path.stat().st_size == file["bytes"]
        with av.open(str(path)) as film:
            video = film.streams.video[0]
            shown[name] = (video.width > video.height, bool(film.streams.audio), sum(1 for _ in film.decode(video)))
    assert shown == {"lamp": (True, False, 96), "sea": (True, True, 96), "tower": (False, False, 96)}


def test_the_same_command_again_sends_nothing(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    assert shell("run", "shots.yaml", "--sandbox", *QUICK).code == 0
    before = (shell.folder / "shots.sandbox.service" / "ledger.jsonl").read_bytes()
    said = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert said.code == 0
    assert (shell.folder / "shots.sandbox.service" / "ledger.jsonl").read_bytes() == before


def assert_each_created_once_and_downloaded(shell: Shell, count: int) -> None:
    """The oracle: the service's own ledger against the state, and the files that are there."""
    accepted = shell.accepted("many.sandbox.service")
    runs = shell.state("many.sandbox.state.json")
    assert len(accepted) == len({run["input"]["prompt"] for run in accepted}) == count
    assert {run["run_id"] for run in runs.values()} == {run["id"] for run in accepted}
    assert all(run["status"] == "downloaded" for run in runs.values())
    assert len(list((shell.folder / "videos" / "sandbox").glob("*.mp4"))) == count
    assert not list((shell.folder / "videos" / "sandbox").glob("*.part"))


def test_json_on_stdout_is_all_that_is_on_stdout(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    said = shell("run", "shots.yaml", "--sandbox", "--json", *QUICK)
    assert said.code == 0
    assert isinstance(json.loads(said.out), dict)


def test_a_lost_file_is_fetched_again_and_not_paid_again(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    shell("run", "shots.yaml", "--sandbox", *QUICK)
    lost: Path = shell.folder / "videos" / "sandbox" / "lamp.mp4"
    whole = lost.read_bytes()
    lost.unlink()
    assert shell("run", "shots.yaml", "--sandbox", *QUICK).code == 0
    assert lost.read_bytes() == whole
    assert len(shell.accepted("shots.sandbox.service")) == 3


def test_a_changed_row_is_shown_before_it_costs_anything(shell: Shell) -> None:
    shell.write("shots.yaml", SHOTS)
    shell("run", "shots.yaml", "--sandbox", *QUICK)
    old = (shell.folder / "videos" / "sandbox" / "lamp.mp4").read_bytes()
    shell.write("shots.yaml", SHOTS.replace("A lamp on a desk", "Two lamps on a desk"))
    asked = shell("run", "shots.yaml", "--sandbox", *QUICK)
    assert asked.code == 2
    assert "A lamp on a desk → Two lamps on a desk" in asked.err
    assert "--changed render" in asked.err
    assert len(shell.accepted("shots.sandbox.service")) == 3
    assert shell("run", "shots.yaml", "--sandbox", "--changed", "keep", *QUICK).code == 0
    assert len(shell.accepted("shots.sandbox.service")) == 3
    assert shell("run", "shots.yaml", "--sandbox", "--changed", "render", *QUICK).code == 0
    assert len(shell.accepted("shots.sandbox.service")) == 4
    assert (shell.folder / "videos" / "sandbox" / "lamp.mp4").read_bytes() == old
    assert (shell.folder / "videos" / "sandbox" / "lamp-2.mp4").is_file()
