"""The real command on damaged files: exit code 5, the way out in words, nothing sent and nothing changed."""

from __future__ import annotations

import pytest

from batchgen.rehearse import IDENTITY
from batchgen.store.document import Header
from batchgen.store.ledger import open_ledger
from batchgen.store.paths import StatePaths
from tests.core.samples import created, intended, planned
from tests.e2e.conftest import QUICK, Shell

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("part", "damage"),
    [("state", "flip"), ("state", "cut"), ("journal", "flip"), ("journal", "cut"), ("journal", "newline")],
)
async def test_a_damaged_file_ends_with_5_and_is_left_as_it_is(shell: Shell, part: str, damage: str) -> None:
    manifest = shell.write("shots.yaml", "runs: [{id: lamp, prompt: A lamp}, {id: moon, prompt: A moon}]")
    paths = StatePaths(manifest.with_name("shots.sandbox.state.json"))
    async with open_ledger(paths, Header(IDENTITY, "shots.yaml", "")) as ledger:
        await ledger.record_all([planned("lamp"), planned("moon")])
        ledger.fold()
        await ledger.record_all([intended("lamp"), created("lamp")])
        await ledger.record(intended("moon"))
        files = {path: path.read_bytes() for path in (paths.state, paths.journal)}
    path = paths.state if part == "state" else paths.journal
    data = files[path]
    end = len(data.rstrip(b"\0\n"))
    files[path] = {
        "flip": data[: end - 60] + bytes([data[end - 60] ^ 1]) + data[end - 59 :],
        "cut": data[: end - 60],
        "newline": data[:end] + b"x" + data[end + 1 :],
    }[damage]
    for file, content in files.items():
        file.write_bytes(content)
    for command in (("run", "--sandbox", *QUICK), ("status", "--sandbox"), ("resolve", "--sandbox")):
        said = shell(command[0], "shots.yaml", *command[1:])
        assert said.code == 5, said
        assert "backup" in said.err
    assert {file: file.read_bytes() for file in files} == files
    assert not (shell.folder / "shots.sandbox.service" / "ledger.jsonl").exists() or not shell.accepted(
        "shots.sandbox.service"
    )
