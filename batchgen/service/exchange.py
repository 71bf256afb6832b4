"""One request and its answer, filled in while they go on, and what came of it in the end."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpcore

from batchgen.core.allowance import Allowance
from batchgen.core.answers import Answer, Lost, NotSent, Outcome, Unusable, run_view
from batchgen.core.secrecy import LEAST_SECRET, MASK, hidden

LARGEST_ANSWER = 1024 * 1024


class HeldBack(Exception):
    """The request may not go any more, and not a byte of it has left."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer, as far as they came. It is filled in while they go on, so that a request that is
    cut short at any moment (a deadline, a second Ctrl-C) still tells what is known of it.

    `may_begin` is asked when the connection stands and the first byte is about to leave: connecting takes a while, in
    which much may have changed."""

    may_begin: Callable[[], bool] = lambda: True
    held_back: bool = False
    begun: bool = False
    unusable: bool = False
    problem: str = ""
    status: int | None = None
    retry_after: str | None = None
    date: str | None = None
    allowance: Allowance | None = None
    coding: str = ""
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    secret: str = field(default="", repr=False)

    async def traced(self, event: str, info: Mapping[str, Any]) -> None:
        """Notes when the first byte is handed over. Exception classes alone do not tell.

        A proxy is asked for a tunnel first, by a request of its own, which carries nothing of ours.
        """
        if event.endswith("send_request_headers.started"):
            own = info["request"].method != b"CONNECT"
            self.held_back = own and not self.may_begin()
            if self.held_back:
                raise HeldBack
            self.begun = own
        elif event.endswith("send_request_headers.failed"):
            # h11 has refused to spell the headers, so not a byte of them was written.
            self.begun = self.begun and not isinstance(info["exception"], httpcore.LocalProtocolError)

    def outcome(self) -> Outcome:
        """What came of it, without the key: a service may say it back in an error, and errors are kept and shown."""
        problem = hidden(self.problem.encode("utf-8", "replace"), self.secret).decode("utf-8", "replace")
        if self.unusable and not self.begun:
            return Unusable(problem)
        if self.status is not None:
            body = _decoded(bytes(self.body), self.coding)
            answer = Answer(self.status, body, self.complete, self.retry_after, self.date, self.allowance)
            return _masked(answer, self.secret) if self.secret else answer
        if self.begun:
            return Lost(problem or "No answer came in time.")
        return NotSent(problem or "Stopped before it was sent.")


def _masked(answer: Answer, secret: str) -> Answer:
    """Without the key, except where it stands in what makes the run: a key may be as short as “test”, and half an id
    that was paid for is no id."""
    whole = answer.body.replace(secret.encode(), MASK.encode())
    tries = (replace(answer, body=body) for body in (hidden(answer.body, secret), whole))
    return next((masked for masked in tries if _is_same_run(answer, masked, secret)), answer)


def _is_same_run(answer: Answer, masked: Answer, secret: str) -> bool:
    said, shown = run_view(answer), run_view(masked)
    if said is None or not said.id:
        return True
    if shown is None or (said.id, said.status, said.cost_micro_usd) != (shown.id, shown.status, shown.cost_micro_usd):
        return False
    # A long key in a link is no coincidence, and the host of the file must not see it.
    return said.urls == shown.urls or len(secret) >= LEAST_SECRET


def _decoded(body: bytes, coding: str) -> bytes:
    """The body as it was meant. Nobody asked for a compressed one, but an id in one was paid for all the same: so what
    came before a break is kept, what is only called compressed is taken as it is, and no bomb goes off."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        return body
    plain, unpack = bytearray(), zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    with suppress(zlib.error):
        for at in range(0, len(body), 64):
            plain += unpack.decompress(body[at : at + 64], LARGEST_ANSWER)
            if len(plain) > LARGEST_ANSWER:
                break
    return bytes(plain) or body
