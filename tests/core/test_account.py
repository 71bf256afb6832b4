"""What one key may still do."""

from __future__ import annotations

import pytest

from batchgen.core.account import Account
from batchgen.core.verdict import Closed, CloseKey
from batchgen.records import Failure

NO_MONEY = CloseKey(Failure("insufficient_balance", "Top up."), Closed.NO_CREDIT)
REFUSED = CloseKey(Failure("invalid_api_key", "Who?"), Closed.REFUSED)
NO = Failure("http_403", "No.")


def close(account: Account, now: float, verdict: CloseKey = NO_MONEY, *, begun_at: float | None = None) -> Account:
    return account.close(verdict, begun_at=now if begun_at is None else begun_at, now=now, wait=True)


@pytest.mark.parametrize(("verdict", "wait"), [(NO_MONEY, False), (REFUSED, False), (REFUSED, True)])
def test_a_key_that_is_not_waited_for_submits_no_more(verdict: CloseKey, wait: bool) -> None:
    account = Account().close(verdict, begun_at=0.0, now=1.0, wait=wait)
    assert account.hopeless
    assert not account.may_submit(1e9, 0)
    assert not account.polls_given_up


def test_with_wait_a_probe_goes_out_at_growing_intervals_one_at_a_time() -> None:
    account, now, pauses = Account(), 0.0, []
    for _ in range(8):
        account = close(account, now)
        assert not account.hopeless
        assert not account.may_submit(account.probe_at - 0.1, 0)
        assert not account.may_submit(account.probe_at, 1)
        assert account.may_submit(account.probe_at, 0)
        pauses.append(account.probe_at - now)
        now = account.probe_at
    assert pauses == [30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 900.0]


def test_probes_without_end_never_overflow() -> None:
    account, now = Account(), 0.0
    for _ in range(2000):
        account = close(account, now)
        now = account.probe_at
    assert account.probe_at > now - 1


def test_refusals_under_way_when_the_key_was_closed_are_no_probes() -> None:
    account = close(Account(), 10.0)
    assert close(account, 12.0, begun_at=9.0) == account


def test_a_key_that_is_refused_while_it_waits_is_given_up_and_stays_so() -> None:
    account = close(close(Account(), 0.0), 31.0, REFUSED)
    assert account.hopeless
    assert close(account, 40.0, begun_at=30.0).hopeless


def test_an_accepted_probe_opens_the_key_and_the_next_closing_begins_with_a_short_pause() -> None:
    account = close(close(Account(), 0.0), 31.0).submitted(begun_at=100.0)
    assert account == Account(proven=True, closed_at=31.0)
    assert account.may_submit(101.0, 50)
    assert close(account, 200.0).probe_at == 230.0


def test_a_submission_that_was_under_way_at_the_closing_does_not_open_the_key() -> None:
    account = close(Account(), 10.0).submitted(begun_at=9.0)
    assert account.proven
    assert not account.may_submit(20.0, 0)


def poll_refusals(account: Account) -> list[float]:
    """The pauses until the key's polls are given up, each refusal of a poll begun after the last pause."""
    now, pauses = 0.0, []
    while not account.polls_given_up:
        account = account.refuse_poll(NO, now)
        pauses.append(account.polls_from - now)
        now = account.polls_from
    assert account.refusal == NO
    return pauses


def test_a_key_that_never_worked_is_given_up_soon_and_a_proven_one_gets_patience() -> None:
    assert poll_refusals(Account()) == [2.0, 4.0, 8.0]
    proven = poll_refusals(Account(proven=True))
    assert proven == [2.0, 4.0, 8.0, 16.0, 32.0]


def test_many_polls_refused_in_one_moment_are_one_refusal() -> None:
    account = Account()
    for _ in range(50):
        account = account.refuse_poll(NO, 5.0)
    assert (account.poll_refusals, account.polls_from) == (1, 7.0)


def test_an_answered_poll_forgets_the_refusals_and_proves_the_key() -> None:
    account = Account().refuse_poll(NO, 0.0).polled()
    assert account == Account(proven=True)
    assert account.polled() is account


def test_refused_polls_do_not_close_submissions() -> None:
    assert Account().refuse_poll(NO, 0.0).may_submit(0.0, 0)
