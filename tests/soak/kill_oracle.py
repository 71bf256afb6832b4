"""What must hold after every kill and at the end, judged by the service's own books and by the files themselves."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from batchgen.records import Record, Status
from batchgen.service.boxes import walk_file
from batchgen.store.reading import read_state
from tests.soak.kill_scene import Books, Scene

OPEN = (Status.SUBMITTING, Status.IN_DOUBT)
LEFT_BY_A_KILL = (".part", ".tmp", ".journal")


class Oracle:
    """Remembers what was seen of a round, and holds each new state against it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._ids: dict[str, str] = {}
        self._whole: set[tuple[str, int, int, int]] = set()
        self.in_flight: set[str] = set()  # submitting in the state at some kill, and not decided since
        self.ever_in_flight: set[str] = set()
        self.in_doubt: set[str] = set()  # in doubt at some time, and not decided since
        self.settled: dict[str, int] = {}  # how many POSTs had been received when it was last decided
        self.released: Counter[str] = Counter()

    def records(self) -> dict[str, Record]:
        """The state as anyone may read it."""
        document = read_state(self._scene.paths)
        return document.records if document else {}

    def look(self) -> dict[str, Record]:
        """Holds what is on the disk now, with no process at work, against the books."""
        records, books = self.records(), self._scene.books()
        for name in self._scene.inputs.values():
            self._judge(name, records.get(name), books)
        self._files(records, books)
        open_now = {name for name, record in records.items() if record.status is Status.SUBMITTING}
        self.in_flight |= open_now
        self.ever_in_flight |= open_now
        doubted = {name for name, record in records.items() if record.status is Status.IN_DOUBT}
        strangers = doubted - self.in_flight - self._scene.injected
        assert not strangers, f"in doubt without a reason: {strangers}"
        self.in_doubt |= doubted
        return records

    def _judge(self, name: str, record: Record | None, books: Books) -> None:
        """One run: accepted once at most, never lost, never sent again."""
        status, run_id = (record.status, record.run_id) if record else (None, None)
        accepted = [entry[0] for entry in books.runs.get(name, ())]
        assert len(accepted) <= 1, f"{name} was accepted twice: {accepted}"
        for accepted_id in accepted:
            assert run_id == accepted_id or status in OPEN, f"{name} was accepted as {accepted_id}, but is {record}"
        assert not run_id or run_id in accepted, f"{name} has an id that the service never gave: {run_id}"
        known = self._ids.get(name)
        assert known in (None, run_id), f"{name} was {known} before, and is {run_id} now"
        if run_id:
            self._ids[name] = run_id
        if name in self.in_flight | self.in_doubt:
            assert status in OPEN, f"{name} was in doubt, and nobody decided it, but it is {status}"
        if books.posts is not None:
            self._judge_posts(name, status, books)

    def _judge_posts(self, name: str, status: Status | None, books: Books) -> None:
        """No POST follows another one, however that ended, unless a person has released the run in between."""
        received = (books.posts or {}).get(name, [])
        assert len(received) <= 1 + self.released[name], f"{name} was sent again: {received}"
        if len(received) > self.released[name]:
            assert status not in (None, Status.PENDING), f"{name} was sent and is {status}: {received}"
        if self._is_struck(name, books):
            assert status in OPEN, f"the answer for {name} was no answer, but it is {status}"

    def _is_struck(self, name: str, books: Books) -> bool:
        """Whether the service has left it open what became of the run's POST, and nobody has decided it since."""
        if books.posts is None:  # never decided either: once it is sent, it is struck
            return name in self._scene.injected
        received = books.posts.get(name, [])[self.settled.get(name, 0) :]
        return name in self._scene.injected and any(post["faults"] for post in received)

    def _files(self, records: Mapping[str, Record], books: Books) -> None:
        """Every video under its final name is whole and the right one, and nothing is there that nobody made."""
        videos = self._scene.videos
        for path in sorted(videos.iterdir()) if videos.is_dir() else ():
            name, _, rest = path.name.partition(".mp4")
            if rest.endswith(".part") and name in records:
                continue
            assert not rest, f"a foreign file: {path.name}"
            assert name in records, f"a foreign file: {path.name}"
            self._video(path, books.runs[name][0][0])
        for name, record in records.items():
            if record.status is Status.DOWNLOADED:
                self._saved(name, record)
        made = {"many.csv", "videos", self._scene.service.name}
        for path in self._scene.folder.iterdir():
            assert path.name in made or self._scene.paths.state.name in path.name, f"a foreign file: {path.name}"

    def _video(self, path: Path, run_id: str) -> None:
        stat = path.stat()
        seen = (path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if seen in self._whole:
            return
        film = walk_file(path)
        assert film.whole, f"{path.name} is not whole: {film.words}"
        wanted = (self._scene.service / "videos" / f"{run_id}.mp4").read_bytes()
        assert path.read_bytes() == wanted, f"{path.name} is not the video of {run_id}"
        self._whole.add(seen)

    def _saved(self, name: str, record: Record) -> None:
        [file] = record.files
        path = self._scene.folder / file.path
        assert path == self._scene.videos / f"{name}.mp4", f"{name} is in {path}"
        assert path.is_file(), f"{name} is downloaded, but {path} is not there"
        assert path.stat().st_size == file.bytes, f"{path} has another length than the state says"

    def decide(self, names: set[str]) -> None:
        """Takes note of what a person's decision has made of these runs, as far as it came to the disk."""
        posts = self._scene.books().posts or {}
        for name, record in self.records().items():
            if name in names and record.status not in OPEN:
                self.settled[name] = len(posts.get(name, []))
                self.released[name] += record.status is Status.PENDING
                self.in_flight.discard(name)
                self.in_doubt.discard(name)
        self.look()

    def end(self) -> dict[str, Record]:
        """After a session that was not killed: all is downloaded or in doubt, and nothing lies about."""
        records, books = self.look(), self._scene.books()
        for name, record in records.items():
            assert record.status in (Status.DOWNLOADED, Status.IN_DOUBT), f"{name} is left {record.status}"
            if record.status is Status.DOWNLOADED:
                [file] = record.files
                data = (self._scene.folder / file.path).read_bytes()
                assert hashlib.sha256(data).hexdigest() == file.sha256, f"{name}: not the bytes that the state names"
                assert [(record.run_id, record.cost_micro_usd)] == books.runs[name], f"{name}: another run or cost"
        assert records.keys() == set(self._scene.inputs.values())
        wanted = {name for name in records if self._is_struck(name, books)} | self.in_flight
        doubted = {name for name, record in records.items() if record.status is Status.IN_DOUBT}
        assert doubted == wanted, f"not exactly those in doubt: {doubted ^ wanted}"
        left = [path.name for path in self._scene.folder.rglob("*") if path.name.endswith(LEFT_BY_A_KILL)]
        assert not left, f"left behind: {left}"
        return records
