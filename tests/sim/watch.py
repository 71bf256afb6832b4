"""The oracle: what must never happen, held against the service's own books at every request and after every act."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchgen.core.plan import OnChanged
from batchgen.records import Status
from batchgen.sandbox.ledger import Entry
from batchgen.settings import Key
from tests.sim.audit import Audit, Broken
from tests.sim.wire import Request

if TYPE_CHECKING:
    from tests.sim.world import Session, World

REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
CLOSING = frozenset({401, 402, 403, 404, 405})
NO_CREDIT = frozenset({"insufficient_balance", "api_key_spend_limit_exceeded", "USAGE_EXCEEDED"})
WINDOW_S = 10.0
LEAST_PAUSE_S = 29.9
DOUBTS_IN_ROW = 3


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
    missing_since: dict[str, float] = field(default_factory=dict)


class Watch(Audit):
    """Sees every request as it leaves, arrives and ends. It knows from the wire and the books alone."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.claims: dict[str, str] = {}  # row → the request that may have been paid for
        self.last_arrival = -math.inf
        self.figures: Counter[str] = Counter()
        self.seen: Seen | None = None

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
            self._note_missing(seen, request, now)
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

    def _note_missing(self, seen: Seen, request: Request, now: float) -> None:
        """For how long the service has not known a run in this session."""
        if request.status in (404, 410):
            since = seen.missing_since.setdefault(request.run_id, now)
            self.missing[request.run_id] = max(self.missing.get(request.run_id, 0.0), now - since)
        elif request.status == 200:
            seen.missing_since.pop(request.run_id, None)
