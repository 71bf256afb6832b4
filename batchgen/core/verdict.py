"""What follows from the outcome of a POST or a GET: two tables, read from the top, the first match wins.

Downloads have a table of their own in `core.transfer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from batchgen.core.answers import Answer, Lost, NotSent, Outcome, RunView, Unusable, excerpt, run_view, words_of
from batchgen.records import Failure

# ---------------------------------------------------------------------------------------------- verdicts on a POST


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run exists. `salvaged` where its id came from a body that broke off, so that a GET has to confirm it."""

    run_id: str
    cost_micro_usd: int | None
    salvaged: bool = False


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Nothing was sent: the run is pending again, after a pause."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class StopBatch:
    """Nothing can be sent like this; the run is pending again and a person has to mend it."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Nobody knows whether a run was created."""

    failure: Failure
    body: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """This input can never succeed as written."""

    failure: Failure


class Closed(StrEnum):
    """Why a key submits no more."""

    REFUSED = "refused"  # the key, its address or the endpoint: a person must mend it
    NO_CREDIT = "no_credit"  # until someone tops up or raises the limit


@dataclass(frozen=True, slots=True)
class CloseKey:
    """The run is pending again; this key submits no more."""

    failure: Failure
    why: Closed


@dataclass(frozen=True, slots=True)
class CloseGate:
    """The run is pending again; nobody sends anything until the gate opens."""

    failure: Failure


PostVerdict = Submitted | SendAgain | StopBatch | InDoubt | Refuse | CloseKey | CloseGate

# ----------------------------------------------------------------------------------------------- verdicts on a GET


@dataclass(frozen=True, slots=True)
class StillRunning:
    """Not final, or a word that nobody has documented: poll again. The word is kept for show."""

    word: str
    cost_micro_usd: int | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Succeeded, and here are the videos. `seconds`: how long it took by the service's own times, where it tells."""

    urls: tuple[str, ...]
    cost_micro_usd: int | None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ReadyEmpty:
    """Succeeded, but without a URL: poll again a few times."""

    cost_micro_usd: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The service says that the run came to nothing; the money comes back."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class PollAgain:
    """This answer says nothing of the run: poll again with backoff. `limited` where it is the rate limit (429)."""

    failure: Failure
    limited: bool = False


@dataclass(frozen=True, slots=True)
class PauseKey:
    """The key may not poll now; the runs' ids are kept."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Missing:
    """The service does not know the run, or not yet."""

    failure: Failure


GetVerdict = StillRunning | Ready | ReadyEmpty | Ended | PollAgain | PauseKey | Missing

# --------------------------------------------------------------------------------------------------------- tables

SUCCEEDED = frozenset({"succeeded"})
PLAINLY_ENDED = frozenset({"failed", "canceled", "cancelled", "expired"})
USAGE_EXCEEDED = "usage_exceeded"
SPENDING_LIMIT = "api_key_spend_limit_exceeded"
MODEL_NOT_FOUND = "model_not_found"
NO_ENDPOINT = "no_endpoint"


NO_RUN = RunView(None, None, (), None, None)
NO_ID = Failure("no_id", "The service said yes without naming the run.")


@dataclass(frozen=True, slots=True)
class Case:
    """An outcome with all that the rows ask about, looked up once. `status` is 0 where no answer came."""

    outcome: Outcome
    status: int
    view: RunView
    words: Failure

    @property
    def code(self) -> str:
        """The service's code in lower case."""
        return self.words.code.lower()

    @property
    def word(self) -> str:
        """The run's status word in lower case."""
        return (self.view.status or "").strip().lower()


V = TypeVar("V", covariant=True)


@dataclass(frozen=True, slots=True)
class Row(Generic[V]):
    """One row of a table: its name, when it holds, and what follows."""

    name: str
    holds: Callable[[Case], bool]
    verdict: Callable[[Case], V]


POST_TABLE: tuple[Row[PostVerdict], ...] = (
    Row("2xx with an id", lambda c: _ok(c) and _has_id(c), lambda c: _submitted(c)),
    Row("surely not sent", lambda c: isinstance(c.outcome, NotSent), lambda c: SendAgain(c.words)),
    Row("unusable URL, certificate or key", lambda c: isinstance(c.outcome, Unusable), lambda c: StopBatch(c.words)),
    Row("begun, and no answer", lambda c: isinstance(c.outcome, Lost), lambda c: InDoubt(c.words)),
    Row("2xx without an id", lambda c: _ok(c), lambda c: InDoubt(NO_ID, _kept_body(c))),
    Row("400, 413, 415, 422", lambda c: c.status in (400, 413, 415, 422), lambda c: Refuse(c.words)),
    Row("402", lambda c: c.status == 402, lambda c: CloseKey(c.words, Closed.NO_CREDIT)),
    Row(
        "403 spending limit",
        lambda c: c.status == 403 and c.code == SPENDING_LIMIT,
        lambda c: CloseKey(c.words, Closed.NO_CREDIT),
    ),
    Row("401, 403", lambda c: c.status in (401, 403), lambda c: CloseKey(c.words, Closed.REFUSED)),
    Row("404, 405", lambda c: c.status in (404, 405), lambda c: CloseKey(_no_endpoint(c), Closed.REFUSED)),
    Row(
        "429 USAGE_EXCEEDED",
        lambda c: c.status == 429 and c.code == USAGE_EXCEEDED,
        lambda c: CloseKey(c.words, Closed.NO_CREDIT),
    ),
    # Any other code is taken as the rate limit too: a 429 says that the request was not handled, whatever it is called.
    Row("429 RATE_LIMITED or no code", lambda c: c.status == 429, lambda c: CloseGate(c.words)),
    Row("3xx", lambda c: 300 <= c.status < 400, lambda c: StopBatch(_redirected(c))),
    Row("408, 409, 5xx, anything else", lambda _: True, lambda c: InDoubt(c.words, _kept_body(c))),
)

GET_TABLE: tuple[Row[GetVerdict], ...] = (
    Row("no answer", lambda c: c.status == 0, lambda c: PollAgain(c.words)),
    Row("401, 402, 403", lambda c: c.status in (401, 402, 403), lambda c: PauseKey(c.words)),
    Row("404, 410", lambda c: c.status in (404, 410), lambda c: Missing(c.words)),
    Row("429", lambda c: c.status == 429, lambda c: PollAgain(c.words, limited=True)),
    Row("no run in the answer", lambda c: not _ok(c) or not _whole_run(c), lambda c: PollAgain(_no_run(c))),
    Row("succeeded with URLs", lambda c: c.word in SUCCEEDED and bool(c.view.urls), lambda c: _ready(c.view)),
    Row("succeeded without URLs", lambda c: c.word in SUCCEEDED, lambda c: ReadyEmpty(c.view.cost_micro_usd)),
    Row("a word that plainly ends it", lambda c: c.word in PLAINLY_ENDED, lambda c: Ended(_end(c))),
    Row("not final, or an unknown word", lambda _: True, lambda c: StillRunning(c.word, c.view.cost_micro_usd)),
)


def judge_post(outcome: Outcome, *, trust_5xx: bool = False) -> PostVerdict:
    """What follows from the outcome of a `POST /runs`.

    `trust_5xx`: the user has the service's word that an answer of 5xx never leaves a run behind.
    """
    case = _case(outcome)
    if trust_5xx and 500 <= case.status < 600:
        return SendAgain(case.words)
    return next(row.verdict(case) for row in POST_TABLE if row.holds(case))


def judge_get(outcome: Outcome, run_id: str) -> GetVerdict:
    """What follows from the outcome of a `GET /runs/ID`. An answer about another run says nothing of this one."""
    case = _case(outcome)
    if case.view.id not in (None, run_id):
        case = replace(case, view=NO_RUN)
    return next(row.verdict(case) for row in GET_TABLE if row.holds(case))


def _case(outcome: Outcome) -> Case:
    if isinstance(outcome, Answer):
        return Case(outcome, outcome.status, run_view(outcome) or NO_RUN, words_of(outcome))
    code = {NotSent: "not_sent", Unusable: "unusable", Lost: "no_answer"}[type(outcome)]
    return Case(outcome, 0, NO_RUN, Failure(code, outcome.reason))


def _ok(case: Case) -> bool:
    return 200 <= case.status < 300


def _has_id(case: Case) -> bool:
    return bool(case.view.id)


def _whole_run(case: Case) -> bool:
    """A body that broke off may lack the URLs or the error that it was about to give, so a GET asks again."""
    return case.view.whole and bool(case.view.status)


def _submitted(case: Case) -> Submitted:
    view = case.view
    if not view.id:
        raise ValueError("the row holds only where there is an id")
    return Submitted(view.id, view.cost_micro_usd, salvaged=not view.whole)


def _kept_body(case: Case) -> str:
    return excerpt(case.outcome.body) if isinstance(case.outcome, Answer) else ""


def _no_endpoint(case: Case) -> Failure:
    """Whatever code a service gives to an address that it does not know, a person has to look at the base URL."""
    return case.words if case.code == MODEL_NOT_FOUND else Failure(NO_ENDPOINT, case.words.message)


def _redirected(case: Case) -> Failure:
    return Failure("redirected", f"The service answered with a redirect ({case.status}), which is never followed.")


def _no_run(case: Case) -> Failure:
    if _ok(case):
        return Failure("unreadable", "The answer to a poll was not this run in JSON.")
    return case.words


def _ready(view: RunView) -> Ready:
    return Ready(view.urls, view.cost_micro_usd, view.seconds)


def _end(case: Case) -> Failure:
    said = case.view.failure
    message = said.message if said else f"The service ended the run as “{case.word}” and gave no reason."
    return Failure((said.code if said else "") or case.word, message)
