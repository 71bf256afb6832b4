from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.report.commands import Commands


def test_every_command_names_the_batch_as_the_user_did() -> None:
    commands = Commands("my shots.yaml", ("--sandbox",), ("--output-dir", "out"))
    assert commands.run("--retry-failed") == "batchgen run 'my shots.yaml' --sandbox --output-dir out --retry-failed"
    assert commands.status() == "batchgen status 'my shots.yaml' --sandbox"
    assert commands.resolve(["a"], "--abandon") == "batchgen resolve 'my shots.yaml' a --sandbox --abandon"


def test_what_looks_like_an_option_is_kept_from_being_one() -> None:
    command = Commands("-odd.yaml").resolve(["--x"], "--adopt", "RUN_ID")
    assert command == "batchgen resolve --adopt RUN_ID -- -odd.yaml --x"


@given(st.lists(st.text(min_size=1).filter(lambda text: "\0" not in text), min_size=1, max_size=4))
def test_a_shell_gives_back_every_id(ids: list[str]) -> None:
    words = shlex.split(Commands("m.yaml", ("--state", "s p.json")).resolve(ids, "--not-created"))
    assert set(ids) <= set(words)
    assert words[:2] == ["batchgen", "resolve"]


@pytest.mark.parametrize(
    ("manifest", "options", "path", "seen"),
    [
        ("m.yaml", (), "videos/a.mp4", "videos/a.mp4"),
        ("shots/m.yaml", (), "videos/a.mp4", "shots/videos/a.mp4"),
        ("shots/m.yaml", (), "../out/a.mp4", "out/a.mp4"),
        ("shots/m.yaml", ("--state", "other/s.json"), "videos/a.mp4", "other/videos/a.mp4"),
        ("shots/m.yaml", (), "/srv/a.mp4", "/srv/a.mp4"),
    ],
)
def test_a_path_of_the_state_as_seen_from_where_the_user_is(
    manifest: str, options: tuple[str, ...], path: str, seen: str
) -> None:
    assert Commands(manifest, options).from_here(path) == seen
