"""The service itself, without HTTP: decides what a request is answered, and keeps the books."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from jsonschema.protocols import Validator

from batchgen.records import sha256_of
from batchgen.sandbox.answer import Answer, Facts, FileAsk, error, json_answer
from batchgen.sandbox.faults import Fault, faults_in_header, faults_in_prompt, striking
from batchgen.sandbox.ledger import (
    PENDING,
    PROCESSING,
    SUCCEEDED,
    Entry,
    Ledger,
    Post,
    TopUp,
    iso,
    plan_run,
    refunded,
    run_document,
    status_at,
    video_name,
)
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.ranges import file_answer
from batchgen.sandbox.requests import Asked, Refused, fingerprint, json_object, read_faults, validated
from batchgen.sandbox.shot import price_of
from batchgen.sandbox.window import SlidingWindow

FLAT_PRICE_MICRO_USD = 100_000  # where the model's price is unknown

_NOTHING_STRUCK = Answer(0, b"")


class Rehearsal:
    """The state of the service: ledger, windows, counters. All methods run in one thread and never wait."""

    def __init__(
        self, options: SandboxOptions, clock: Callable[[], float], save: Callable[[Entry | TopUp], None]
    ) -> None:
        self._options = options
        self._clock = clock
        self._save = save
        self._windows: dict[str, SlidingWindow] = {}
        self._validators: dict[str, Validator] = {}
        self._seen: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[str] = Counter()
        self._limited: Counter[str] = Counter()
        self._posts: list[Post] = []
        self.ledger = Ledger(options.balance_micro_usd)

    def create(self, asked: Asked) -> Answer:
        """POST /runs."""
        post = Post(self._clock())
        self._posts.append(post)
        try:
            key = self._admit(asked, "post")
            answer = self._create(asked, key, post)
        except Refused as refusal:
            answer = refusal.answer
        post.status = answer.status
        return answer

    def poll(self, asked: Asked, run_id: str) -> Answer:
        """GET /runs/ID."""
        try:
            key = self._admit(asked, "get")
            entry = self.ledger.entries.get(run_id)
            if entry is None or entry.key != key:
                raise Refused(error(404, "run_not_found", "Run not found"))
            return self._show(asked, entry)
        except Refused as refusal:
            return refusal.answer

    def find_file(self, expires: str, name: str) -> tuple[Entry, int] | Answer:
        """The run and the number of the video that a file's address names, or the refusal of that address."""
        run_id, _, video = name.removesuffix(".mp4").partition("-")
        entry = self.ledger.entries.get(run_id)
        number = int(video[:4]) if video.isdecimal() else 1
        if entry is None or name != video_name(entry, number) or status_at(entry, self._clock()) != SUCCEEDED:
            return error(404, "not_found", "Not found")
        if not (expires.isdecimal() and self._clock() * 1000 < int(expires[:16])):
            return error(403, "url_expired", "This URL has expired")
        return entry, number

    def file(self, asked: Asked, entry: Entry, ask: FileAsk) -> Answer:
        """The answer to a request for a video whose bytes are at hand."""
        try:
            faults, facts = self._facing(asked, entry, "file")
        except Refused as refusal:
            return refusal.answer
        for fault in faults:
            if fault.kind.ask is not None:
                ask = fault.kind.ask(ask, _with_argument(facts, fault))
        return _changed(file_answer(ask), faults, facts)

    def top_up(self, body: bytes) -> Answer:
        """POST /sandbox/topup with `{"micro_usd": N}`, and perhaps `"key"`: a fingerprint as in the ledger."""
        try:
            document = json_object(body)
        except Refused as refusal:
            return refusal.answer
        amount, key = document.get("micro_usd"), document.get("key")
        if type(amount) is not int or amount < 0 or not (key is None or isinstance(key, str)):
            return error(400, "invalid_input", "micro_usd must be a whole number of micro-dollars, key a string")
        added = TopUp(amount, key)
        self._save(added)
        self._take(added)
        return json_answer(200, self._accounts())

    def books(self) -> Answer:
        """GET /sandbox/ledger: everything that tests and operators may want to know."""
        now = self._clock()
        runs = [
            {
                "id": entry.id,
                "number": entry.number,
                "key": entry.key,
                "model": entry.model,
                "input": entry.input,
                "cost_micro_usd": entry.cost,
                "status": status_at(entry, now),
                "refunded": refunded(entry, now),
                "created_at": iso(entry.created_at),
                "ready_at": iso(entry.ready_at),
                "polls": self._seen["poll", entry.id],
                "downloads": self._seen["file", entry.id],
            }
            for entry in self.ledger.entries.values()
        ]
        counts = {"requests": dict(self._requests), "rate_limited": self._limited.total()}
        posts = [{**asdict(post), "at": iso(post.at)} for post in self._posts]
        return json_answer(200, {**self._accounts(), **counts, "runs": runs, "posts": posts})

    def count_file_request(self) -> None:
        """Count a request for a file: neither window nor key is asked there."""
        self._requests["file"] += 1

    def resume(self, items: Sequence[Entry | TopUp]) -> None:
        """Take over what an earlier rehearsal in the same folder has written."""
        for item in items:
            self._take(item)

    def _admit(self, asked: Asked, method: str) -> str:
        """The fingerprint of the request's key, once the key and its window admit it."""
        self._requests[method] += 1
        key = fingerprint(asked.authorization)
        limit = self._options.rate_limit
        if limit is None:
            return key
        if not self._windows.setdefault(key, SlidingWindow(*limit)).admit(self._clock()):
            self._limited[key] += 1
            raise Refused(error(429, "RATE_LIMITED", "Rate limit exceeded"))
        return key

    def _create(self, asked: Asked, key: str, post: Post) -> Answer:
        document = json_object(asked.body)
        given = document.get("input")
        post.input_sha256 = sha256_of(given)
        prompt = given.get("prompt") if isinstance(given, dict) else None
        own = read_faults(lambda: (*faults_in_header(asked.fault_header), *faults_in_prompt(prompt)))
        faults, subject = (*self._options.faults, *own), _subject(document.get("model"), given)
        facts = self._facts(asked, self._count("post", subject), owed=self._owed(key))

        before = [*striking(faults, "post", self._options.seed, subject, facts.seen)]
        after = [*striking(faults, "created", self._options.seed, subject, facts.seen)]
        struck = _changed(_NOTHING_STRUCK, before, facts)
        post.faults = tuple(fault.name for fault in before)
        if struck.status or not struck.plain:
            return struck
        entry = self._new_entry(key, document, own)
        self._save(entry)  # on disk before it counts
        self._take(entry)
        post.run, post.faults = entry.id, post.faults + tuple(fault.name for fault in after)
        return _changed(json_answer(201, run_document(entry, PENDING, [])), after, facts)

    def _new_entry(self, key: str, document: Mapping[str, Any], own: tuple[Fault, ...]) -> Entry:
        model, given = validated(document, self._validators)
        now, number, seed = self._clock(), len(self.ledger.entries) + 1, self._options.seed
        cost = price_of(model, given, FLAT_PRICE_MICRO_USD)
        balance = self.ledger.balance(key, now)
        if balance is not None and balance < cost:
            raise Refused(error(402, "insufficient_balance", "Insufficient balance"))
        plan = plan_run(seed, number, model.usual_seconds(given), self._options.latency_scale)
        earlier = self._seen["run", _subject(model.id, given)]
        for fault in striking((*self._options.faults, *own), "run", seed, str(number), earlier):
            if fault.kind.plan is not None:
                plan = fault.kind.plan(plan, _with_argument(Facts(), fault))
        return Entry(
            number=number,
            id=f"run_{secrets.token_hex(12)}",
            key=key,
            model=model.id,
            input=given,
            cost=cost,
            created_at=now,
            ready_at=now + plan.seconds,
            fate=plan.fate,
            reason=plan.reason,
            videos=plan.videos,
            faults=own,
        )

    def _show(self, asked: Asked, entry: Entry) -> Answer:
        faults, facts = self._facing(asked, entry, "poll")
        status = status_at(entry, facts.now)
        expires = int((facts.now + self._options.url_ttl) * 1000)
        names = [video_name(entry, number) for number in range(1, entry.videos + 1)]
        urls = [f"{asked.origin}/files/{expires}/{name}" for name in names]
        answer = json_answer(200, run_document(entry, status, urls))
        if status not in {PENDING, PROCESSING}:
            answer = _changed(answer, *self._facing(asked, entry, "done"))
        return _changed(answer, faults, facts)

    def _facing(self, asked: Asked, entry: Entry, stage: str) -> tuple[list[Fault], Facts]:
        """The faults that strike a request about a run, and what they may look at."""
        header = read_faults(lambda: faults_in_header(asked.fault_header))
        seen = self._count(stage, entry.id)
        faults = (*self._options.faults, *entry.faults, *header)
        # By its number, not by its id, which is chance: the same seed makes the same rehearsal.
        struck = list(striking(faults, stage, self._options.seed, str(entry.number), seen))
        return struck, self._facts(asked, seen)

    def _facts(self, asked: Asked, seen: int, owed: int = 0) -> Facts:
        return Facts(now=self._clock(), origin=asked.origin, path=asked.path, direct=asked.direct, seen=seen, owed=owed)

    def _owed(self, key: str) -> int:
        return self.ledger.spent(key, self._clock()) - self.ledger.topped_up(key)

    def _count(self, stage: str, subject: str) -> int:
        """How many requests of that stage there were for the subject before this one."""
        self._seen[stage, subject] += 1
        return self._seen[stage, subject] - 1

    def _take(self, item: Entry | TopUp) -> None:
        self.ledger.add(item)
        if isinstance(item, Entry):
            self._seen["run", _subject(item.model, item.input)] += 1

    def _accounts(self) -> dict[str, Any]:
        now = self._clock()
        keys = {entry.key for entry in self.ledger.entries.values()} | set(self._windows)
        accounts = {
            key: {
                "balance_micro_usd": self.ledger.balance(key, now),
                "spent_micro_usd": self.ledger.spent(key, now),
                "rate_limited": self._limited[key],
            }
            for key in sorted(keys)
        }
        balances = [balance for account in accounts.values() if (balance := account["balance_micro_usd"]) is not None]
        whole = None if self._options.balance_micro_usd is None else sum(balances)
        return {"balance_micro_usd": whole, "keys": accounts}


def _changed(answer: Answer, faults: Sequence[Fault], facts: Facts) -> Answer:
    for fault in faults:
        if fault.kind.change is not None:
            answer = fault.kind.change(answer, _with_argument(facts, fault))
    return answer


def _subject(model: object, given: object) -> str:
    """By what the requests for one and the same video are recognised before there is a run."""
    return sha256_of([model, given])


def _with_argument(facts: Facts, fault: Fault) -> Facts:
    return replace(facts, text=fault.text, number=fault.number)
