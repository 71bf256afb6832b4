"""The oracle: what must never happen, held against the service's own books at every request and after every act."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from batchgen.core.plan import OnChanged
from batchgen.records import Record, Status
from batchgen.sandbox.ledger import Entry
from batchgen.settings import Key
from batchgen.store.reading import read_state
from tests.sim.service import film_of
from tests.sim.wire import Request

if TYPE_CHECKING:
    from tests.sim.world import Session, World

REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
CLOSING = frozenset({401, 402, 403, 404, 405})
NO_CREDIT = frozenset({"insufficient_balance", "api_key_spend_limit_exceeded", "USAGE_EXCEEDED"})
WINDOW_S = 10.0
LEAST_PAUSE_S = 29.9
DOUBTS_IN_ROW = 3


class Broken(AssertionError):
    """The promise does not hold."""


@dataclass
class Seen:
    """What one session's process has been told so far."""

    session: Session
    quiet_before: bool
    posts_open: set[int] = field(default_factory=set)
    closed: dict[Key, tuple[float, bool]] = field(default_factory=dict)  # since when, and whether credit may mend it
    stopped_at: float = math.inf
    stopped_by: str = ""
    doubts_in_row: int = 0
    paused_until: float = -math.inf
    account_refused: bool = False
    state_broke: bool = False
    doubts: int = 0
    posts: int = 0


class Watch:
    """Knows from the wire and the books alone; of the program it believes only what is on the disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.claims: dict[str, str] = {}  # row → the request that may have been paid for
        self.ids: dict[str, set[str]] = {}  # row → every id that the state has ever shown
        self.hidden: set[str] = set()  # runs that a person has given up without knowing their ids
        self.last_arrival = -math.inf
        self.figures: Counter[str] = Counter()
        self.seen: Seen | None = None
        self.problem: Broken | None = None

    def fail(self, words: str) -> NoReturn:
        """The promise is broken. Kept as well as raised, because the program may catch what is raised in a request."""
        self.problem = self.problem or Broken(words)
        raise self.problem

    # ------------------------------------------------------------------------------------------------ a session

    def session_begins(self, session: Session) -> None:
        """A person has said what is wanted: that alone sets free what was paid for before."""
        records = self.records()
        for row, run in {run.id: run for run in self._world.runs()}.items():
            record = records.get(row)
            if record is None:
                continue
            changed = run.input_sha256 != record.input_sha256 or run.model != record.model
            if record.status is Status.FAILED and (session.retry_failed or changed):
                self.claims.pop(row, None)
            if record.status is Status.DOWNLOADED and changed and session.changed is OnChanged.RENDER:
                self.claims.pop(row, None)
        quiet = self._world.service_time() - self.last_arrival > WINDOW_S + 1
        self.seen = Seen(session, quiet)
        self.figures["sessions"] += 1

    def session_ends(self) -> None:
        self.seen = None

    # ------------------------------------------------------------------------------------------------- requests

    def begun(self, request: Request) -> None:
        """The first byte of a request leaves."""
        seen = self.seen
        if seen is None:
            raise Broken("no session has begun")
        if request.key not in seen.session.keys:
            self.fail(f"{request.words}: not one of the session's keys")
        if request.method == "GET":
            self._get_begun(request, seen)
        else:
            self._post_begun(request, seen)
            self.claims[request.row] = request.words
            seen.posts_open.add(request.number)

    def _get_begun(self, request: Request, seen: Seen) -> None:
        entry = self._world.service.entries.get(request.run_id)
        self.figures["polls"] += 1
        if entry is None:
            self.fail(f"{request.words}: polls a run that never was")
        own = [key for key in seen.session.keys if key.fingerprint == entry.key]
        if own and request.key not in own:
            self.fail(f"{request.words}: polled with another key than its own")

    def _post_begun(self, request: Request, seen: Seen) -> None:
        now = request.begun_at
        self.figures["posts"] += 1
        seen.posts += 1
        if request.row in self.claims:
            self.fail(f"{request.words}: sent again after {self.claims[request.row]}, and nobody decided that")
        if now > seen.stopped_at:
            self.fail(f"{request.words}: sent after {seen.stopped_by}")
        since, mends = seen.closed.get(request.key, (math.inf, False))
        if now > since and not (mends and seen.session.wait_for_credit):
            self.fail(f"{request.words}: sent after the key was closed")
        if now > since and (now < since + LEAST_PAUSE_S or self._open_with(request.key, seen)):
            self.fail(f"{request.words}: no probe, and the key has no credit")
        if seen.doubts_in_row >= DOUBTS_IN_ROW and (now < seen.paused_until or seen.posts_open):
            self.fail(f"{request.words}: sent in the middle of an outage")
        if seen.session.concurrency and len(seen.posts_open) >= seen.session.concurrency:
            self.fail(f"{request.words}: more at once than --concurrency")
        if not self._intent_is_durable(request.row):
            self.fail(f"{request.words}: sent before its intent was on disk")

    def _open_with(self, key: Key, seen: Seen) -> bool:
        return any(r.key == key and r.number in seen.posts_open for r, _ in self._world.wire.on_the_way)

    def _intent_is_durable(self, row: str) -> bool:
        paths = self._world.paths
        journal = self._world.disk.durable(paths.journal)
        name = b'"id":"%s"' % row.encode()
        lines = [line for line in journal.split(b"\n") if name in line[:200]]
        return bool(lines) and lines[-1].startswith(b'{"event":"intended"')

    def accepted(self, request: Request, entry: Entry) -> None:
        """The service has created a run and taken the money."""
        self.figures["runs"] += 1
        self._world.note(f"accepted {request.words} as {entry.id}")
        most = request.process.session.max_cost
        spent = self._world.service.spent(self._world.all_keys)
        if most is not None and spent > most:
            self.fail(f"{request.words}: {spent} micro-dollars are spent, of at most {most}")

    def arrived(self, request: Request, *, limited: bool) -> None:
        """The service has counted a request."""
        self.last_arrival = self._world.service_time()
        seen = self.seen
        if limited and seen and seen.quiet_before and not seen.session.cut_short:
            self.fail(f"{request.words}: over the rate limit, and nobody else used the key")

    def ended(self, request: Request) -> None:
        """The program has all of the answer that it will get."""
        seen, now = self.seen, request.process.loop.time()
        if seen is None:
            return
        if request.method == "GET":
            seen.account_refused = seen.account_refused or request.status in (401, 402, 403)
            return
        seen.posts_open.discard(request.number)
        status = request.status or 0
        trusted = seen.session.trust_5xx and 500 <= status < 600
        if status in REFUSALS or 300 <= status < 400 or trusted:
            self.claims.pop(request.row, None)
        if 300 <= status < 400:
            self._stop(seen, now, "a redirect")
            seen.account_refused = True
            return
        if trusted:
            return
        closing = status in CLOSING or (status == 429 and request.code in NO_CREDIT)
        if closing:
            seen.account_refused = True
            if seen.closed.get(request.key, (-math.inf,))[0] <= request.begun_at or request.key not in seen.closed:
                seen.closed[request.key] = (now, request.code in NO_CREDIT)
        clear = status in REFUSALS or (200 <= status < 300 and request.names_an_id())
        if clear and not closing and seen.closed.get(request.key, (math.inf,))[0] < request.begun_at:
            seen.closed.pop(request.key)
        self._count_doubts(seen, request, clear=clear, now=now)

    def _count_doubts(self, seen: Seen, request: Request, *, clear: bool, now: float) -> None:
        paused = seen.doubts_in_row >= DOUBTS_IN_ROW
        if not clear:
            self.figures["doubts"] += 1
            seen.doubts += 1
        if paused and request.begun_at < seen.paused_until:
            return  # was under way when the pause began
        seen.doubts_in_row = 0 if clear else seen.doubts_in_row + 1
        if seen.doubts_in_row >= DOUBTS_IN_ROW:
            seen.paused_until = now + LEAST_PAUSE_S

    def _stop(self, seen: Seen, now: float, why: str) -> None:
        if now < seen.stopped_at:
            seen.stopped_at, seen.stopped_by = now, why

    def told_to_stop(self, why: str) -> None:
        """A signal, or a state that cannot be written: from the next moment on nothing that costs money is sent."""
        if self.seen:
            self._stop(self.seen, self._world.process_at_work.loop.time(), why)

    def state_broke(self) -> None:
        """The program has just been told that the state cannot be written."""
        self.told_to_stop("the state could not be written")
        if self.seen:
            self.seen.state_broke = True

    def exited(self, code: int, *, signalled: bool) -> None:
        """Holds the exit code against what has happened (design, section 4)."""
        seen, records = self.seen, self.records()
        if seen is None:
            raise Broken("no session to end")
        rows = [records[run.id].status for run in self._world.runs() if run.id in records]
        doubtful = bool({Status.IN_DOUBT, Status.SUBMITTING} & set(rows))
        whole = len(rows) == len(self._world.runs()) and set(rows) <= {Status.DOWNLOADED}
        self.figures[f"exit {code}"] += 1
        holds = {
            5: seen.state_broke or bool(self._world.disk.failing),
            3: seen.account_refused or seen.session.max_cost is not None,
            130: signalled,
            143: signalled,
            4: doubtful or seen.doubts > 0,
            1: not whole and not doubtful,
            0: whole,
            2: seen.session.changed is OnChanged.ASK and not seen.posts,
        }
        least = {5} if seen.state_broke else {5, 3, 130, 143, 2} if signalled else set(holds)
        limited = seen.session.limit is not None and code in (0, 1)
        if code not in least or not (holds.get(code, False) or limited):
            self.fail(f"exit code {code}, and the runs are {[str(status) for status in rows]}")

    def disk_is_full(self) -> None:
        self.told_to_stop("the disk was full")

    # ------------------------------------------------------------------------------------------------ the state

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
        for row, record in records.items():
            if record.status is Status.DOWNLOADED:
                for file in record.files:
                    path = folder / file.path
                    if path.is_file() and films.get(path.read_bytes()) != record.run_id:
                        self.fail(f"{row}: {file.path} is another run's video")
                    if not path.is_file() and path.name not in self._world.deleted:
                        self.fail(f"{row}: {file.path} is gone, and nobody took it away")
