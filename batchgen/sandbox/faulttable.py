"""Every fault of the rehearsal service, as one table. What a fault does is a pure change of a value on its way.

The first word of a name is the stage at which it strikes (`STAGES`). The rows follow the verdict tables that a client
of the service has to decide by, so that each of them can be rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from batchgen.sandbox.answer import Answer, Facts, FileAsk, Framing, Plan, error
from batchgen.sandbox.effects import (
    DRIP_BYTES_PER_SECOND,
    NEVER_SECONDS,
    Change,
    away,
    cut,
    cut_and_reset,
    edit,
    elsewhere,
    error_as_object,
    flip,
    foreign_urls,
    hang,
    hang_up,
    in_circles,
    longer,
    moved,
    no_credit,
    one_url,
    other_start,
    page,
    reset_at_once,
    spend_limit,
    stale_urls,
    too_many,
    too_many_until,
    used_up,
    waiting_word,
)

STAGES: Mapping[str, str] = MappingProxyType(
    {
        "post": "POST /runs, before anything is created",
        "created": "POST /runs, after the run is created and paid for",
        "run": "the run itself",
        "poll": "GET /runs/ID",
        "done": "GET /runs/ID, once the run has ended",
        "file": "the download",
    }
)
WORDS = frozenset({"WORD", "WORDS", "URL"})  # arguments that are text; all others are numbers


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: a name, a line of help, what the argument is (nothing: it takes none), and one of three changes."""

    name: str
    help: str
    unit: str = ""
    change: Change | None = None
    plan: Callable[[Plan, Facts], Plan] | None = None
    ask: Callable[[FileAsk, Facts], FileAsk] | None = None

    @property
    def stage(self) -> str:
        """The key of `STAGES` at which it strikes."""
        return self.name.partition("-")[0]


_REFUSALS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("invalid_input", "Invalid input"),
        401: ("invalid_api_key", "Invalid API key"),
        402: ("insufficient_balance", "Insufficient balance"),
        403: ("ip_not_allowed", "IP address not allowed"),
        404: ("not_found", "Not found"),
        405: ("method_not_allowed", "Method not allowed"),
        408: ("request_timeout", "Request timeout"),
        409: ("conflict", "Conflict"),
        410: ("gone", "Gone"),
        413: ("payload_too_large", "Payload too large"),
        415: ("unsupported_media_type", "Unsupported media type"),
        422: ("unprocessable", "Unprocessable input"),
        425: ("too_early", "Too early"),
        500: ("internal_error", "Internal server error"),
        502: ("bad_gateway", "Bad gateway"),
        503: ("unavailable", "Service unavailable"),
    }
)


def _refusal(stage: str, status: int) -> Kind:
    code, message = _REFUSALS[status]
    if (stage, status) == ("poll", 404):
        code, message = "run_not_found", "Run not found"
    return Kind(f"{stage}-{status}", f"{status} {code}", change=lambda _answer, _facts: error(status, code, message))


def _any_status(stage: str) -> Kind:
    def change(_answer: Answer, facts: Facts) -> Answer:
        return error(int(facts.number or 500), "rehearsed", "Rehearsed status")

    return Kind(f"{stage}-status", "any other status; default 500", "STATUS", change=change)


_POST = (
    *(_refusal("post", s) for s in (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 500, 502, 503)),
    Kind(
        "post-402",
        "402, once the key has spent the sum, refunds and top-ups off; default 0",
        "MICRO",
        no_credit,
    ),
    Kind(
        "post-spend-limit",
        "403 spending limit, once the key has spent the sum; default 0",
        "MICRO",
        spend_limit,
    ),
    Kind("post-429", "429 RATE_LIMITED; with an argument, Retry-After in seconds", "SECONDS", too_many),
    Kind(
        "post-429-date",
        "429 RATE_LIMITED, Retry-After as a date so far ahead; default 30",
        "SECONDS",
        too_many_until,
    ),
    Kind(
        "post-usage-exceeded",
        "429 USAGE_EXCEEDED, once the key has spent the sum; default 0",
        "MICRO",
        used_up,
    ),
    _any_status("post"),
    Kind("post-302", "redirect; default to /moved", "URL", moved),
    Kind("post-reset", "connection reset without an answer", change=reset_at_once),
    Kind("post-hang", "no answer for so long (default 3600), then the connection closes", "SECONDS", hang_up),
)
_CREATED = (
    *(_refusal("created", s) for s in (408, 409, 500, 502, 503)),
    _any_status("created"),
    Kind("created-reset", "connection reset without an answer", change=reset_at_once),
    Kind(
        "created-truncated",
        "the answer ends after so many bytes; default half (the id comes first)",
        "BYTES",
        cut,
    ),
    Kind("created-no-id", "201 without an id", change=edit(lambda d, _: d.pop("id"))),
    Kind("created-not-json", "201 whose body is no JSON", change=lambda a, _: replace(a, body=b"<html>OK</html>")),
    Kind("created-no-cost", "201 without costUsd", change=edit(lambda d, _: d.pop("costUsd"))),
    Kind("created-hang", "the answer comes so late; default 3600", "SECONDS", hang),
)
_RUN = (
    Kind(
        "run-failed",
        "fails, is refunded, and says so in these words",
        "WORDS",
        plan=lambda plan, f: replace(plan, fate="failed", reason=f.text or "The model could not make this video"),
    ),
    Kind(
        "run-ends",
        "ends with this status instead of succeeded, refunded; default canceled",
        "WORD",
        plan=lambda plan, f: replace(plan, fate=f.text or "canceled"),
    ),
    Kind(
        "run-slow",
        "takes so many times as long; default 5",
        "TIMES",
        plan=lambda plan, f: replace(plan, seconds=plan.seconds * (5.0 if f.number is None else f.number)),
    ),
    Kind("run-never", "never ends", plan=lambda plan, _: replace(plan, seconds=NEVER_SECONDS)),
    Kind(
        "run-videos",
        "has so many videos; default 2",
        "N",
        plan=lambda plan, f: replace(plan, videos=max(1, int(f.number or 2))),
    ),
)
_POLL = (
    *(_refusal("poll", s) for s in (401, 402, 403, 404, 408, 410, 425, 500, 502, 503)),
    Kind("poll-429", "429 RATE_LIMITED; with an argument, Retry-After in seconds", "SECONDS", too_many),
    _any_status("poll"),
    Kind("poll-not-json", "200 whose body is no JSON", change=lambda a, _: replace(a, body=b"<html>OK</html>")),
    Kind("poll-other-id", "the answer is about another run", change=edit(lambda d, _: d.update(id="run_other"))),
    Kind(
        "poll-word",
        "this status instead of pending and processing; default queued",
        "WORD",
        edit(waiting_word),
    ),
    Kind("poll-no-cost", "no costUsd", change=edit(lambda d, _: d.pop("costUsd"))),
    Kind("poll-truncated", "the answer ends after so many bytes; default half", "BYTES", cut),
    Kind("poll-reset", "connection reset without an answer", change=reset_at_once),
    Kind("poll-hang", "the answer comes so late; default 3600", "SECONDS", hang),
)
_DONE = (
    Kind("done-no-urls", "succeeded without output", change=edit(lambda d, _: d.pop("output", None))),
    Kind("done-one-url", "output.url instead of output.urls", change=edit(one_url)),
    Kind("done-expired-url", "the URLs have expired already", change=edit(stale_urls)),
    Kind(
        "done-foreign-url",
        "the URL is this one; default at a private address",
        "URL",
        edit(foreign_urls),
    ),
    Kind(
        "done-error-object",
        "the error of a failed run is an object, not a string",
        change=edit(error_as_object),
    ),
)
_FILE = (
    *(_refusal("file", s) for s in (401, 403, 404, 410, 500, 502, 503)),
    Kind("file-429", "429; with an argument, Retry-After in seconds", "SECONDS", too_many),
    _any_status("file"),
    Kind("file-truncated", "closed after so many bytes of an answer; default half of the file", "BYTES", cut),
    Kind("file-reset", "reset after so many bytes of an answer; default half of the file", "BYTES", cut_and_reset),
    Kind("file-html", "200 with a web page", ask=page),
    Kind(
        "file-no-length",
        "no Content-Length: only the closing ends it",
        change=lambda a, _: replace(a, framing=Framing.CLOSE),
    ),
    Kind(
        "file-no-length-cut",
        "no Content-Length, and closed too early; default half",
        "BYTES",
        change=lambda a, f: replace(cut(a, f), framing=Framing.CLOSE),
    ),
    Kind("file-chunked", "chunked instead of Content-Length", change=lambda a, _: replace(a, framing=Framing.CHUNKED)),
    Kind("file-ignores-range", "200 with the whole file to a Range", ask=lambda ask, _: replace(ask, range=None)),
    Kind("file-wrong-start", "206 that starts at another byte than asked for", ask=other_start),
    Kind("file-etag-changes", "another ETag each time", ask=lambda ask, f: replace(ask, etag=f'"changed-{f.seen}"')),
    Kind("file-length-changes", "another length each time, under the same ETag", ask=longer),
    Kind("file-weak-etag", "a weak ETag", ask=lambda ask, _: replace(ask, etag=f"W/{ask.etag}")),
    Kind("file-redirect", "redirect to the good file", change=elsewhere),
    Kind("file-redirect-loop", "redirect to itself", change=in_circles),
    Kind("file-redirect-to", "redirect to this URL; default at a private address", "URL", away),
    Kind(
        "file-drip",
        "so many bytes a second; default 256",
        "BYTES",
        change=lambda a, f: replace(a, pace=f.number or DRIP_BYTES_PER_SECOND),
    ),
    Kind("file-magic", "the first box's type is wrong", ask=flip(lambda _content: 4)),
    Kind(
        "file-flipped",
        "one byte in the middle of the media is wrong",
        ask=flip(lambda content: len(content) * 3 // 4),
    ),
    Kind("file-hang", "the answer comes so late; default 3600", "SECONDS", hang),
)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.name: kind for kind in (*_POST, *_CREATED, *_RUN, *_POLL, *_DONE, *_FILE)}
)
