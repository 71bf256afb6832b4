"""A whole batch under names that mean harm, in a folder where something stands in the way of each."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from pathlib import Path

from tests.e2e.conftest import QUICK, Shell

NAMES = (
    *(
        "../up",
        "/etc/batchgen",
        "..\\up",
        "C:\\x",
        "CON",
        "NUL.mp4",
        "aux.",
        "-rf",
        "~",
        "lamp",
        "Lamp",
        "LAMP",
        "lamp.mp4",
    ),
    *(
        "lamp-2",
        "caf\u00e9",
        "cafe\u0301",
        "\u202egnp.exe",
        "\U0001f469\u200d\U0001f469" * 20,
        "x" * 200,
        "\u00e9" * 150,
    ),
    *("shots.csv", "shots.sandbox.state.json", "a/b", "a:b", "$(id)", "%2e%2e%2fx", "secret"),
)


def what_is_there(folder: Path) -> dict[str, str]:
    """Every file, folder, link and pipe below a folder, with its contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path)] = str(path.readlink()) if path.is_symlink() else oct(path.lstat().st_mode)
    return found


def test_nothing_outside_is_written_and_nothing_inside_is_written_over(shell: Shell) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id", "prompt", "resolution", "duration"))
    rows.writerows((name, "x", "480p", "4") for name in NAMES)
    shell.write("shots.csv", text.getvalue())
    assert shell("validate", "shots.csv").code == 0
    (shell.folder / "secret").write_bytes(b"secret")
    output = shell.folder / "videos" / "sandbox"
    output.mkdir(parents=True)
    (output / "lamp.mp4").symlink_to("../../secret")
    (output / "lamp.mp4.part").write_bytes(b"another program's")
    (output / "secret.mp4").hardlink_to(shell.folder / "secret")
    (output / "lamp-2.mp4").mkdir()
    (output / "a_b-1.mp4").write_bytes(b"foreign")
    os.mkfifo(output / ("x" * 200 + ".mp4"))
    before = what_is_there(shell.folder)
    said = shell("run", "shots.csv", "--sandbox", *QUICK)
    assert said.code == 0, said
    after = what_is_there(shell.folder)
    assert {path: after.get(path) for path in before} == before
    videos = [shell.folder / run["files"][0]["path"] for run in shell.state("shots.sandbox.state.json").values()]
    assert len({str(path).casefold() for path in videos}) == len(NAMES)
    ours = (str(shell.folder / "shots.sandbox."), *map(str, videos))
    assert [path for path in after if path not in before and not path.startswith(ours)] == []
    assert all(path.parent == output and path.read_bytes()[4:8] == b"ftyp" for path in videos)
