"""Both tables row by row, and the design's own words on what follows from a POST or a GET."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core import verdict as v
from batchgen.core.answers import Answer, Lost, NotSent, Outcome, Unusable
from batchgen.core.verdict import Closed, judge_get, judge_post
from batchgen.records import Failure

RUN = {"id": "run_é1", "model": "m", "status": "pending", "costUsd": 40000}


def said(status: int, code: str | None = None, message: str = "No.") -> Answer:
    error = {"message": message} if code is None else {"message": message, "code": code}
    return Answer(status, json.dumps({"error": error}).encode())


def run(status: str | None, **more: Any) -> Answer:
    return Answer(200, json.dumps({"id": "run_1", "status": status, **more}).encode())


POSTS: dict[str, tuple[Outcome, v.PostVerdict]] = {
    "2xx with an id": (Answer(201, json.dumps(RUN).encode()), v.Submitted("run_é1", 40000)),
    "surely not sent": (NotSent("refused"), v.SendAgain(Failure("not_sent", "refused"))),
    "unusable URL, certificate or key": (Unusable("no URL"), v.StopBatch(Failure("unusable", "no URL"))),
    "begun, and no answer": (Lost("reset"), v.InDoubt(Failure("no_answer", "reset"))),
    "2xx without an id": (Answer(200, b"{}"), v.InDoubt(v.NO_ID, "{}")),
    "400, 413, 415, 422": (said(400, "invalid_input"), v.Refuse(Failure("invalid_input", "No."))),
    "402": (said(402), v.CloseKey(Failure("http_402", "No."), Closed.NO_CREDIT)),
    "403 spending limit": (
        said(403, "api_key_spend_limit_exceeded"),
        v.CloseKey(Failure("api_key_spend_limit_exceeded", "No."), Closed.NO_CREDIT),
    ),
    "401, 403": (said(403, "ip_not_allowed"), v.CloseKey(Failure("ip_not_allowed", "No."), Closed.REFUSED)),
    "404, 405": (said(405), v.CloseKey(Failure("no_endpoint", "No."), Closed.REFUSED)),
    "429 USAGE_EXCEEDED": (
        said(429, "USAGE_EXCEEDED"),
        v.CloseKey(Failure("USAGE_EXCEEDED", "No."), Closed.NO_CREDIT),
    ),
    "429 RATE_LIMITED or no code": (said(429, "RATE_LIMITED"), v.CloseGate(Failure("RATE_LIMITED", "No."))),
    "3xx": (
        Answer(307),
        v.StopBatch(Failure("redirected", "The service answered with a redirect (307), which is never followed.")),
    ),
    "408, 409, 5xx, anything else": (Answer(418, b"tea"), v.InDoubt(Failure("http_418", "HTTP 418: tea"), "tea")),
}


@pytest.mark.parametrize("row", v.POST_TABLE, ids=lambda row: row.name)
def test_each_row_of_the_post_table_decides_its_own_sample(row: v.Row[v.PostVerdict]) -> None:
    outcome, wanted = POSTS[row.name]
    case = v._case(outcome)
    assert next(r for r in v.POST_TABLE if r.holds(case)) is row
    assert judge_post(outcome) == wanted


KIND_BY_STATUS: dict[int, type] = {
    **dict.fromkeys((400, 413, 415, 422), v.Refuse),
    **dict.fromkeys((401, 402, 403, 404, 405), v.CloseKey),
    429: v.CloseGate,
    **dict.fromkeys(range(300, 400), v.StopBatch),
}


@pytest.mark.parametrize("body", [b"", b"<html>oops</html>", b'{"error":"no"}', b'[{"id":"run_1"}]'])
def test_every_status_without_a_run_gives_what_the_design_says(body: bytes) -> None:
    for status in range(100, 1000):
        assert type(judge_post(Answer(status, body))) is KIND_BY_STATUS.get(status, v.InDoubt), status


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226, 299])
def test_any_2xx_with_an_id_is_submitted(status: int) -> None:
    assert judge_post(Answer(status, b'{"id":"run_1"}')) == v.Submitted("run_1", None)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500, 503])
def test_an_id_under_any_other_status_is_no_run(status: int) -> None:
    assert not isinstance(judge_post(Answer(status, b'{"id":"run_1","status":"pending"}')), v.Submitted)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("complete", [True, False], ids=["said to be whole", "broken off"])
@pytest.mark.parametrize("first", ["id", "model"])
def test_a_body_cut_at_any_byte_gives_the_whole_id_or_none(indent: int | None, complete: bool, first: str) -> None:
    fields = RUN if first == "id" else dict(reversed(RUN.items()))
    body = json.dumps(fields, ensure_ascii=False, indent=indent).encode()
    there = body.index('"run_é1"'.encode()) + len('"run_é1"'.encode())
    for cut in range(len(body)):
        verdict = judge_post(Answer(200, body[:cut], complete))
        if cut < there:
            assert isinstance(verdict, v.InDoubt), body[:cut]
        else:
            assert isinstance(verdict, v.Submitted), body[:cut]
            assert verdict.run_id == "run_é1"
            assert verdict.salvaged
            assert verdict.cost_micro_usd in (None, 40000)


def test_a_whole_run_in_an_answer_that_broke_off_later_is_still_to_be_confirmed() -> None:
    assert judge_post(Answer(200, b'{"id":"run_1"}', complete=False)) == v.Submitted("run_1", None, salvaged=True)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"run_1","status":}',
        b'{"id":"run_1"} and more',
        b'{"id":"run_1","n":NaN,"x":}',
        b'\xef\xbb\xbf{"id":"run_1","x":',
        b'{"id":"run_1","words":"\xff\xfe"}',
        b'{"id":"run_1","deep":' + b"[" * 100_000,
        b'{"id":"run_1","long":' + b"9" * 10_000 + b"}",
    ],
    ids=["no value", "more behind it", "nonsense", "byte order mark", "not UTF-8", "too deep", "too long a number"],
)
def test_a_body_that_is_whole_by_length_but_no_json_still_gives_its_id(body: bytes) -> None:
    assert judge_post(Answer(200, body)) == v.Submitted("run_1", None, salvaged=True)


@pytest.mark.parametrize(
    "run_id",
    [5, "", "  ", None, True, ["run_1"], {"id": "run_1"}, "run_\ufffd", "run_" + chr(0xD800), "run\n1"],
    ids=repr,
)
def test_an_id_that_is_no_id_leaves_the_run_in_doubt_with_the_body(run_id: object) -> None:
    body = json.dumps({"id": run_id, "status": "pending"}).encode()
    verdict = judge_post(Answer(200, body))
    assert isinstance(verdict, v.InDoubt)
    assert '"id"' in verdict.body


@pytest.mark.parametrize(
    "body", [b'{"data":{"id":"run_1"}}', b'{"run":{"id":"run_1"', b'{"text":"\\"id\\":\\"run_1\\""}', b'["id","run_1"]']
)
def test_an_id_inside_something_else_is_not_the_runs_id(body: bytes) -> None:
    for complete in (True, False):
        assert isinstance(judge_post(Answer(200, body, complete)), v.InDoubt)


@pytest.mark.parametrize(
    ("cost", "wanted"),
    [
        ("40000", 40000),
        ("40000.0", 40000),
        ("95999.99999", 96000),
        ("0", 0),
        ("null", None),
        ("true", None),
        ('"40000"', None),
        ("-1", None),
        ("0.04", None),
        ("1.4", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e400", None),
        ("1" + "0" * 400, None),
        ("1" + "0" * 15, None),
    ],
)
def test_a_cost_is_micro_dollars_or_unknown_and_never_costs_the_id(cost: str, wanted: int | None) -> None:
    verdict = judge_post(Answer(200, f'{{"costUsd":{cost},"id":"run_1"}}'.encode()))
    assert isinstance(verdict, v.Submitted)
    assert (verdict.run_id, verdict.cost_micro_usd) == ("run_1", wanted)


@pytest.mark.parametrize("code", ["USAGE_EXCEEDED", "usage_exceeded", "Usage_Exceeded"])
@pytest.mark.parametrize("form", ["object", "string", "code only"])
def test_used_up_usage_closes_the_key_in_any_spelling(code: str, form: str) -> None:
    error = {"object": {"code": code, "message": "m"}, "string": code, "code only": {"code": code}}[form]
    verdict = judge_post(Answer(429, json.dumps({"error": error}).encode()))
    assert isinstance(verdict, v.CloseKey)
    assert verdict.why is Closed.NO_CREDIT


@pytest.mark.parametrize("body", [b"", b"slow down", b'{"error":"slow down"}', b'{"error":{"code":"OTHER"}}'])
def test_any_other_429_closes_the_gate(body: bytes) -> None:
    assert isinstance(judge_post(Answer(429, body)), v.CloseGate)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"error":{"code":"invalid_input","message":"Bad."}}', Failure("invalid_input", "Bad.")),
        (b'{"error":{"message":"Bad."}}', Failure("http_400", "Bad.")),
        (b'{"error":{"code":"invalid_input"}}', Failure("invalid_input", "invalid_input")),
        (b'{"error":"Bad prompt."}', Failure("http_400", "Bad prompt.")),
        (b'{"error":{"code":7,"message":8}}', Failure("http_400", 'HTTP 400: {"error":{"code":7,"message":8}}')),
        (b"", Failure("http_400", "HTTP 400")),
        (b"\x1b[2Jgone\x07", Failure("http_400", "HTTP 400: �[2Jgone�")),
    ],
)
def test_the_services_words_are_kept_as_one_plain_line(body: bytes, wanted: Failure) -> None:
    assert judge_post(Answer(400, body)) == v.Refuse(wanted)


def test_words_without_end_are_cut() -> None:
    verdict = judge_post(Answer(500, b"x" * 10_000))
    assert isinstance(verdict, v.InDoubt)
    assert len(verdict.body) == 500


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_5xx_is_sent_again_only_on_the_users_word(status: int) -> None:
    assert isinstance(judge_post(Answer(status)), v.InDoubt)
    assert isinstance(judge_post(Answer(status), trust_5xx=True), v.SendAgain)


@pytest.mark.parametrize("outcome", [Lost("x"), Answer(408), Answer(409), Answer(200, b"?"), Answer(600)])
def test_the_users_word_on_5xx_covers_nothing_else(outcome: Outcome) -> None:
    assert isinstance(judge_post(outcome, trust_5xx=True), v.InDoubt)


URLS = {"urls": ["https://a/1", "https://a/2"]}
GETS: dict[str, tuple[Outcome, v.GetVerdict]] = {
    "no answer": (Lost("reset"), v.PollAgain(Failure("no_answer", "reset"))),
    "401, 402, 403": (said(402), v.PauseKey(Failure("http_402", "No."))),
    "404, 410": (said(404, "run_not_found"), v.Missing(Failure("run_not_found", "No."))),
    "429": (said(429), v.PollAgain(Failure("http_429", "No."), limited=True)),
    "no run in the answer": (said(503), v.PollAgain(Failure("http_503", "No."))),
    "succeeded with URLs": (
        run("succeeded", output=URLS, costUsd=5),
        v.Ready(("https://a/1", "https://a/2"), 5),
    ),
    "succeeded without URLs": (run("succeeded"), v.ReadyEmpty(None)),
    "a word that plainly ends it": (run("failed", error="Too dark."), v.Ended(Failure("failed", "Too dark."))),
    "not final, or an unknown word": (run("dreaming", costUsd=5), v.StillRunning("dreaming", 5)),
}


@pytest.mark.parametrize("row", v.GET_TABLE, ids=lambda row: row.name)
def test_each_row_of_the_get_table_decides_its_own_sample(row: v.Row[v.GetVerdict]) -> None:
    outcome, wanted = GETS[row.name]
    case = v._case(outcome)
    assert next(r for r in v.GET_TABLE if r.holds(case)) is row
    assert judge_get(outcome, "run_1") == wanted


@pytest.mark.parametrize("word", ["pending", "queued", "processing", "running", "completed", "SUCCESS", "", "?"])
def test_a_word_that_is_not_final_or_unknown_is_polled_again(word: str) -> None:
    assert isinstance(judge_get(run(word, output=URLS), "run_1"), v.StillRunning | v.PollAgain)


@pytest.mark.parametrize("word", ["failed", "canceled", "cancelled", "expired", "Failed"])
def test_a_word_that_plainly_ends_a_run_ends_it_and_gives_a_reason(word: str) -> None:
    verdict = judge_get(run(word), "run_1")
    assert isinstance(verdict, v.Ended)
    assert verdict.failure.code == word.lower()
    assert verdict.failure.message


def test_a_failed_runs_own_words_are_kept_as_object_too() -> None:
    verdict = judge_get(run("failed", error={"code": "nsfw", "message": "Not that."}), "run_1")
    assert verdict == v.Ended(Failure("nsfw", "Not that."))


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ({"urls": ["https://a"]}, ("https://a",)),
        ({"url": "https://a"}, ("https://a",)),
        ({"urls": "https://a"}, ("https://a",)),
        ({"urls": [], "url": "https://a"}, ()),
        ({"urls": [None, 5, "", " https://a "]}, ("https://a",)),
        ({"urls": None, "url": None}, ()),
        ({}, ()),
        (None, ()),
        ("https://a", ()),
        ([], ()),
    ],
)
def test_urls_are_read_in_both_forms(output: object, urls: tuple[str, ...]) -> None:
    verdict = judge_get(run("succeeded", output=output), "run_1")
    assert verdict == (v.Ready(urls, None) if urls else v.ReadyEmpty(None))


@pytest.mark.parametrize(
    "outcome",
    [
        NotSent("x"),
        Unusable("x"),
        Lost("x"),
        Answer(200, b"<html>"),
        Answer(200, b"[]"),
        Answer(200, b"{}"),
        Answer(200, b'{"id":"run_1"}'),
        Answer(200, b'{"id":"run_1","status":7}'),
        Answer(200, b'{"id":"run_1","status":"succeeded","output":{"urls":["https://a"]}}', complete=False),
        Answer(200, b'{"id":"run_1","status":"failed","output'),
        Answer(200, b'{"id":"run_2","status":"failed"}'),
        *(Answer(status, b'{"id":"run_1","status":"failed"}') for status in (301, 400, 408, 409, 418, 425, 500, 503)),
    ],
)
def test_what_says_nothing_of_this_run_never_ends_it(outcome: Outcome) -> None:
    verdict = judge_get(outcome, "run_1")
    assert isinstance(verdict, v.PollAgain)
    assert not verdict.limited


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_poll_pauses_the_key(status: int) -> None:
    assert isinstance(judge_get(said(status), "run_1"), v.PauseKey)


def test_an_answer_without_an_id_is_taken_for_the_run_that_was_asked_for() -> None:
    assert judge_get(Answer(200, b'{"status":"expired"}'), "run_1") == v.Ended(
        Failure("expired", "The service ended the run as “expired” and gave no reason.")
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
runs = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("id", "status", "costUsd", "error"), json_values)
    | {"output": st.fixed_dictionaries({}, optional={"urls": json_values, "url": json_values}) | json_values},
)
bodies = st.binary(max_size=60) | runs.map(lambda value: json.dumps(value).encode())
reasons = st.text(max_size=10)
outcomes = st.one_of(
    st.builds(NotSent, reasons),
    st.builds(Unusable, reasons),
    st.builds(Lost, reasons),
    st.builds(Answer, st.integers(100, 999), bodies, st.booleans(), st.none() | reasons, st.none() | reasons),
)


@settings(max_examples=200, deadline=None)
@given(outcomes, st.booleans())
def test_any_outcome_has_a_verdict_and_no_exception(outcome: Outcome, trust: bool) -> None:
    assert isinstance(judge_post(outcome, trust_5xx=trust), v.PostVerdict)
    assert isinstance(judge_get(outcome, "run_1"), v.GetVerdict)


@settings(max_examples=200, deadline=None)
@given(outcomes)
def test_only_what_surely_created_nothing_may_be_sent_again(outcome: Outcome) -> None:
    verdict = judge_post(outcome)
    if isinstance(verdict, v.SendAgain | v.StopBatch | v.CloseKey | v.CloseGate | v.Refuse):
        refused = isinstance(outcome, Answer) and 300 <= outcome.status < 500 and outcome.status not in (408, 409)
        assert refused or isinstance(outcome, NotSent | Unusable)
