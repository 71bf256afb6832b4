"""The oracle's look at what is on the disk: state, emergency files and videos, held against the service's books."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from batchgen.records import Record, Status
from batchgen.sandbox.ledger import refunded
from batchgen.store.reading import read_state
from tests.sim.service import film_of

if TYPE_CHECKING:
    from tests.sim.world import World

LEAST_MISSING_S = 595.0


class Broken(AssertionError):
    """The promise does not hold."""


class Audit:
    """Of the program it believes only what is on the disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ids: dict[str, set[str]] = {}  # row → every id that the state has ever shown
        self.hidden: set[str] = set()  # runs that a person has given up without knowing their ids
        self.missing: dict[str, float] = {}  # run → the longest time for which the service did not know it
        self.problem: Broken | None = None

    def fail(self, words: str) -> NoReturn:
        """The promise is broken. Kept as well as raised, because the program may catch what is raised in a request."""
        self.problem = self.problem or Broken(words)
        raise self.problem

    def records(self) -> dict[str, Record]:
        """The state as it is on disk."""
        document = read_state(self._world.paths)
        return document.records if document else {}

    def look(self) -> None:
        """Holds the state and the folder against the books; raises what was found before as well."""
        if self.problem:
            raise self.problem
        records = self.records()
        known = {attempt.run_id: row for row, r in records.items() for attempt in r.attempts if attempt.run_id}
        for entry in self._world.service.entries.values():
            row = self._world.row_of_input(entry.input)
            if known.get(entry.id, row) != row:
                self.fail(f"{entry.id} of {row} is said to be {known[entry.id]}'s")
        in_file = self._emergency_ids()
        for row in {self._world.row_of_input(entry.input): None for entry in self._world.service.entries.values()}:
            unknown = [run_id for run_id in self.unknown_ids(row, records) if (row, run_id) not in in_file]
            record = records.get(row)
            doubtful = record is not None and record.status in (Status.SUBMITTING, Status.IN_DOUBT)
            if len(unknown) > doubtful:
                self.fail(f"{row} is {record.status if record else 'not in the state'}: nobody knows of {unknown}")
        self._ids_stay(records)
        self._files_are_whole(records)
        self._failures_are_true(records)

    def unknown_ids(self, row: str, records: dict[str, Record] | None = None) -> list[str]:
        """The row's runs that are paid for, and that the state does not name."""
        record = (self.records() if records is None else records).get(row)
        known = {attempt.run_id for attempt in record.attempts} if record else set()
        return [
            entry.id
            for entry in self._world.service.entries.values()
            if self._world.row_of_input(entry.input) == row and entry.id not in known | self.hidden
        ]

    def _emergency_ids(self) -> set[tuple[str, str]]:
        out = set()
        for folder in (self._world.disk.folder, self._world.temporary):
            for path in folder.glob("*.emergency"):
                lines = path.read_text().splitlines()
                out |= {(entry["id"], entry["run_id"]) for entry in map(json.loads, lines)}
        return out

    def _ids_stay(self, records: dict[str, Record]) -> None:
        for row, record in records.items():
            ids = {attempt.run_id for attempt in record.attempts if attempt.run_id}
            if strange := ids - self._world.service.entries.keys():
                self.fail(f"{row} has ids that the service never gave: {strange}")
            for attempt in record.attempts:
                if attempt.run_id and attempt.key != self._world.service.entries[attempt.run_id].key:
                    self.fail(f"{row}: {attempt.run_id} was made with another key than {attempt.key}")
            if gone := self.ids.get(row, set()) - ids:
                self.fail(f"{row} had {gone}, and has lost it")
            self.ids[row] = ids
        if gone_rows := self.ids.keys() - records.keys():
            self.fail(f"the state has forgotten {sorted(gone_rows)}")

    def _files_are_whole(self, records: dict[str, Record]) -> None:
        films = {
            film_of(entry.id, number): entry.id
            for entry in self._world.service.entries.values()
            for number in range(1, entry.videos + 1)
        }
        folder = self._world.disk.folder
        for path in sorted((folder / "videos").glob("*.mp4")):
            if path.read_bytes() not in films:
                self.fail(f"{path.name} is not whole")
        for row, attempt in ((row, attempt) for row, record in records.items() for attempt in record.attempts):
            for file in attempt.files:
                path = folder / file.path
                if path.is_file() and films.get(path.read_bytes()) != attempt.run_id:
                    self.fail(f"{row}: {file.path} is another run's video than {attempt.run_id}'s")
                if not path.is_file() and path.name not in self._world.deleted:
                    self.fail(f"{row}: {file.path} is gone, and nobody took it away")

    def _failures_are_true(self, records: dict[str, Record]) -> None:
        """A run fails by the service's word, or because it was long unknown there; a refund only by its word."""
        now = self._world.service_time()
        for row, attempt in ((row, attempt) for row, record in records.items() for attempt in record.attempts):
            entry = self._world.service.entries.get(attempt.run_id or "")
            if entry is None or attempt.outcome != "failed":
                continue
            code = attempt.failure.code if attempt.failure else ""
            if attempt.refunded and not refunded(entry, now):
                self.fail(f"{row}: {entry.id} is said to be refunded, and is not ({code})")
            if not attempt.refunded and code not in ("run_not_found", "no_output") and not refunded(entry, now):
                self.fail(f"{row}: {entry.id} is said to have failed, and has not ({code})")
            if code == "run_not_found" and self.missing.get(entry.id, 0.0) < LEAST_MISSING_S:
                self.fail(f"{row}: {entry.id} was given up after {self.missing.get(entry.id, 0.0):.0f} s of 404")
