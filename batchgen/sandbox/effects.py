"""What each fault does, as pure changes of values: an answer, a run's plan, or a request for a file, into another."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

from batchgen.sandbox.answer import NOT_EVEN_THE_HEAD, Answer, Document, Facts, FileAsk, error

NEVER_SECONDS = 1e9  # some thirty years
HANG_SECONDS = 3600.0
DRIP_BYTES_PER_SECOND = 256.0
NO_SUCH_NET = "http://192.0.2.1/video.mp4"  # a documentation address (RFC 5737): nobody answers there

Change = Callable[[Answer, Facts], Answer]


def too_many(_answer: Answer, facts: Facts) -> Answer:
    headers = () if facts.number is None else (("Retry-After", f"{facts.number:g}"),)
    return error(429, "RATE_LIMITED", "Rate limit exceeded", headers)


def too_many_until(_answer: Answer, facts: Facts) -> Answer:
    at = formatdate(facts.now + (30.0 if facts.number is None else facts.number), usegmt=True)
    return error(429, "RATE_LIMITED", "Rate limit exceeded", (("Retry-After", at),))


def used_up(answer: Answer, facts: Facts) -> Answer:
    if facts.owed < (facts.number or 0):
        return answer
    return error(429, "USAGE_EXCEEDED", "Usage exceeded")


def no_credit(answer: Answer, facts: Facts) -> Answer:
    if facts.owed < (facts.number or 0):
        return answer
    return error(402, "insufficient_balance", "Insufficient balance")


def spend_limit(answer: Answer, facts: Facts) -> Answer:
    if facts.owed < (facts.number or 0):
        return answer
    return error(403, "api_key_spend_limit_exceeded", "API key spending limit exceeded")


def moved(_answer: Answer, facts: Facts) -> Answer:
    return Answer(302, b"", (("Location", facts.text or f"{facts.origin}/moved"),))


def hang(answer: Answer, facts: Facts) -> Answer:
    return replace(answer, delay=HANG_SECONDS if facts.number is None else facts.number)


def hang_up(answer: Answer, facts: Facts) -> Answer:
    """Wait, then close the connection without a word: nothing was created, so there is nothing to tell."""
    return replace(hang(answer, facts), cut=NOT_EVEN_THE_HEAD)


def reset_at_once(answer: Answer, _facts: Facts) -> Answer:
    return replace(answer, cut=NOT_EVEN_THE_HEAD, reset=True)


def cut(answer: Answer, facts: Facts) -> Answer:
    """Without an argument half of the whole: of a resumed download, so, the second answer is already complete."""
    total = next((int(v.rpartition("/")[2]) for k, v in answer.headers if k == "Content-Range"), len(answer.body))
    end = -(-total // 2) if facts.number is None else int(facts.number)
    return replace(answer, cut=end) if end < len(answer.body) else answer


def cut_and_reset(answer: Answer, facts: Facts) -> Answer:
    shorter = cut(answer, facts)
    return replace(shorter, reset=True) if shorter.cut is not None else answer


def edit(edit: Callable[[Document, Facts], object]) -> Change:
    """A change of the JSON document in an answer that is a run; error answers stay as they are."""

    def change(answer: Answer, facts: Facts) -> Answer:
        document = json.loads(answer.body) if answer.status < 300 else None
        if not isinstance(document, dict):
            return answer
        edit(document, facts)
        return replace(answer, body=json.dumps(document, ensure_ascii=False).encode())

    return change


def waiting_word(document: Document, facts: Facts) -> None:
    if document["status"] in {"pending", "processing"}:
        document["status"] = facts.text or "queued"


def one_url(document: Document, _facts: Facts) -> None:
    if "output" in document:
        document["output"] = {"url": document["output"]["urls"][0]}


def stale_urls(document: Document, _facts: Facts) -> None:
    for urls in filter(None, [document.get("output", {}).get("urls")]):
        urls[:] = ["/".join([*url.split("/")[:-2], "0", url.split("/")[-1]]) for url in urls]


def error_as_object(document: Document, _facts: Facts) -> None:
    if isinstance(document.get("error"), str):
        document["error"] = {"message": document["error"], "code": "generation_failed"}


def foreign_urls(document: Document, facts: Facts) -> None:
    if "output" in document:
        document["output"] = {"urls": [facts.text or NO_SUCH_NET]}


def page(ask: FileAsk, _facts: Facts) -> FileAsk:
    page = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
    return replace(ask, content=page, etag='"page"', media_type="text/html; charset=utf-8", range=None)


def other_start(ask: FileAsk, _facts: Facts) -> FileAsk:
    head, dash, last = (ask.range or "").partition("-")
    start = head.removeprefix("bytes=")
    return replace(ask, range=f"bytes={int(start) + 7}-{last}" if dash and start.isdigit() else ask.range)


def flip(at: Callable[[bytes], int]) -> Callable[[FileAsk, Facts], FileAsk]:
    def ask(ask: FileAsk, _facts: Facts) -> FileAsk:
        place = at(ask.content)
        flipped = bytes([ask.content[place] ^ 0xFF])
        return replace(ask, content=ask.content[:place] + flipped + ask.content[place + 1 :])

    return ask


def longer(ask: FileAsk, facts: Facts) -> FileAsk:
    """One more empty `free` box each time: the length changes, and the file stays a whole MP4."""
    return replace(ask, content=ask.content + b"\x00\x00\x00\x08free" * facts.seen)


def elsewhere(answer: Answer, facts: Facts) -> Answer:
    if facts.direct:
        return answer
    return Answer(302, b"", (("Location", f"{facts.origin}{facts.path}?direct=1"),))


def in_circles(_answer: Answer, facts: Facts) -> Answer:
    return Answer(302, b"", (("Location", f"{facts.origin}{facts.path}"),))


def away(_answer: Answer, facts: Facts) -> Answer:
    return Answer(302, b"", (("Location", facts.text or NO_SUCH_NET),))
