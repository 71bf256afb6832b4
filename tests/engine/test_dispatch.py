"""The dispatcher alone, on a clock that jumps: gate, breaker, probes, keys and window to the second, no sockets."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from batchgen.core.allowance import Allowance
from batchgen.core.answers import Answer, Lost, NotSent, Outcome
from batchgen.core.gate import Breaker, OpenPosts
from batchgen.core.latency import Kind
from batchgen.core.polling import Due, Hope
from batchgen.core.verdict import judge_get, judge_post
from batchgen.core.window import MARGIN_S, Rate
from batchgen.engine.dispatch import Dispatcher
from batchgen.engine.lanes import Lane
from batchgen.engine.notices import Held, Notice
from tests.engine.loops import JumpLoop, backend
from tests.engine.rig import KEY, OTHER, UNLIMITED

pytestmark = pytest.mark.anyio

OK = Answer(201, b'{"id": "run_1", "status": "pending"}')
RUNNING = Answer(200, b'{"id": "run_1", "status": "processing"}')
LOST = Lost("the connection broke")

AT_FIRST = 16


def refusal(status: int, code: str = "x", retry_after: str | None = None) -> Answer:
    return Answer(status, b'{"error": {"message": "no", "code": "%s"}}' % code.encode(), retry_after=retry_after)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Nothing waits for the world."""
    return backend(JumpLoop)


@dataclass
class Traffic:
    """Clients of one dispatcher, and when each of their requests began. Every request takes `lasts` seconds."""

    dispatcher: Dispatcher
    heard: list[Notice]
    began: float = field(default_factory=anyio.current_time)
    posts: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    refused: int = 0
    lasts: float = 0.1
    kind: Kind = field(default_factory=lambda: Kind((0.0, 1e6)))  # so little known that every poll may find it done

    def now(self) -> float:
        return round(anyio.current_time() - self.began, 3)

    async def post(self, outcome: Outcome, lasts: float | None = None) -> None:
        lane = await self.dispatcher.submission()
        if lane is None:
            self.refused += 1
            return
        if not self.dispatcher.may_begin(lane):
            self.dispatcher.unused(lane)
            return
        self.posts.append(self.now())
        begun = anyio.current_time()
        await anyio.sleep(self.lasts if lasts is None else lasts)
        self.dispatcher.posted(lane, outcome, judge_post(outcome), begun)

    async def poll(self, outcome: Outcome = RUNNING, lane: Lane | None = None, urgent: bool = True) -> bool:
        lane = lane or self.dispatcher.lanes[0]
        now = anyio.current_time()
        if not await self.dispatcher.poll(lane, Due(now, None if urgent else Hope(self.kind, now))):
            return False
        self.polls.append(self.now())
        begun = anyio.current_time()
        await anyio.sleep(self.lasts)
        self.dispatcher.polled(lane, outcome, judge_get(outcome, "run_1"), begun)
        return True

    def held(self, what: str) -> list[float]:
        return [round(notice.seconds, 3) for notice in self.heard if isinstance(notice, Held) and notice.what == what]


Play = Callable[[Traffic, anyio.abc.TaskGroup], Awaitable[None]]


async def play(scene: Play, *, rate: Rate = UNLIMITED, keys: Sequence[Any] = (KEY,), wait: bool = False) -> Traffic:
    """Plays a scene to the end of all its tasks."""
    heard: list[Notice] = []
    dispatcher = Dispatcher(
        keys, rate, heard.append, Random(1), wait_for_credit=wait, open_posts=OpenPosts(AT_FIRST, AT_FIRST)
    )
    traffic = Traffic(dispatcher, heard)
    with anyio.fail_after(1e6):
        async with anyio.create_task_group() as server:
            server.start_soon(dispatcher.serve)
            async with anyio.create_task_group() as tasks:
                await scene(traffic, tasks)
            server.cancel_scope.cancel()
    return traffic


# ------------------------------------------------------------------------------------------------------------- gate


@pytest.mark.parametrize("outcome", [refusal(429, "RATE_LIMITED", "7"), refusal(429, retry_after="7")])
@pytest.mark.parametrize("by_poll", [False, True])
async def test_after_a_429_nobody_sends_until_retry_after_is_over(outcome: Outcome, by_poll: bool) -> None:
    """One refusal of a POST or a GET holds back every POST and every GET, of every key, for the time asked."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        await (t.poll(outcome) if by_poll else t.post(outcome))
        for lane in t.dispatcher.lanes:
            tasks.start_soon(t.poll, RUNNING, lane)
        for _ in range(5):
            tasks.start_soon(t.post, OK)

    traffic = await play(scene, keys=(KEY, OTHER))
    later = sorted(traffic.posts + traffic.polls)[1:]
    assert len(later) == 7
    assert min(later) == pytest.approx(7.1)
    assert max(later) == pytest.approx(7.1)
    assert traffic.held("requests") == [7.0]


async def test_what_was_granted_when_the_gate_closed_does_not_start() -> None:
    """A poll that has its slot but has not begun asks anew, and a POST that was writing its intent is not sent."""

    async def scene(t: Traffic, _tasks: anyio.abc.TaskGroup) -> None:
        lane = t.dispatcher.lanes[0]
        limited = refusal(429, retry_after="5")

        async def asks() -> None:
            assert await t.poll()

        async with anyio.create_task_group() as polls:
            post, other = await t.dispatcher.submission(), await t.dispatcher.submission()
            assert post is not None
            assert other is not None
            polls.start_soon(asks)
            await _until_granted(lane)
            t.dispatcher.posted(post, limited, judge_post(limited), anyio.current_time())
            assert not t.dispatcher.may_begin(other)
            t.dispatcher.unused(other)

    traffic = await play(scene)
    assert traffic.polls == [pytest.approx(5.0)]
    assert traffic.dispatcher.lanes[0].window.in_flight == traffic.dispatcher.lanes[0].posts == 0


async def _until_granted(lane: Lane) -> None:
    before = lane.window.in_flight
    while lane.window.in_flight == before:
        await anyio.lowlevel.checkpoint()


async def test_pauses_without_retry_after_double_up_to_a_minute_and_end_with_an_answer() -> None:
    """Without advice the pauses grow to 45 to 60 s, however many refusals each one brings; an answer begins anew."""

    async def scene(t: Traffic, _tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(9):
            await t.post(refusal(429))
        await t.post(OK)
        await t.post(refusal(429))

    pauses = (await play(scene)).held("requests")
    assert all(
        full * 0.75 <= pause <= full for pause, full in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 1], strict=True)
    )


async def test_refusals_that_were_under_way_together_count_once() -> None:
    """Sixteen POSTs refused at once make one short pause, not a minute."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(16):
            tasks.start_soon(t.post, refusal(429))

    assert max((await play(scene)).held("requests")) <= 1.0


async def test_what_was_surely_not_sent_holds_all_back_and_costs_no_slot() -> None:
    """While nobody can be reached there is a pause after each try, and the window stays whole for later."""

    async def scene(t: Traffic, _tasks: anyio.abc.TaskGroup) -> None:
        await t.post(NotSent("no connection"))
        for _ in range(3):
            await t.post(OK)

    traffic = await play(scene, rate=Rate(3, 100.0))
    assert 0.75 <= traffic.posts[1] - traffic.posts[0] <= 1.2
    assert traffic.posts[-1] < 10


# ---------------------------------------------------------------------------------------------------------- breaker


async def test_three_doubts_in_a_row_pause_submissions_while_polls_go_on() -> None:
    """30 s without a POST, then exactly one as a probe; it is answered, and the rest goes at once."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(3):
            await t.post(LOST)
        for _ in range(6):
            tasks.start_soon(t.post, OK, 2.0)
        while t.now() < 29:
            await t.poll()

    traffic = await play(scene)
    assert len(traffic.polls) > 200
    assert traffic.posts[3:] == pytest.approx([30.3] + [32.3] * 5)
    assert traffic.held("submissions") == [30.0]


async def test_five_doubts_among_fifty_pause_submissions() -> None:
    """Doubts that never come three in a row open the breaker too."""

    async def scene(t: Traffic, _tasks: anyio.abc.TaskGroup) -> None:
        for number in range(49):
            await t.post(LOST if number % 12 == 0 else OK)

    assert (await play(scene)).held("submissions") == [30.0]


async def test_five_failed_probes_end_the_submissions() -> None:
    """Pauses of 30, 60, 120, 240 and 480 s, one probe after each, and then nobody submits any more: eight doubts."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(3):
            await t.post(LOST)
        for _ in range(20):
            tasks.start_soon(t.post, LOST)

    traffic = await play(scene)
    assert len(traffic.posts) == 8
    assert traffic.held("submissions") == [30.0, 60.0, 120.0, 240.0, 480.0]
    assert traffic.dispatcher.breaker.gave_up
    assert traffic.dispatcher.closed_for_good is not None


async def test_an_outage_costs_no_more_doubts_than_posts_that_may_be_open() -> None:
    """A service that never answers sees sixteen POSTs of a thousand, then one probe at a time, five in all."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(1000):
            tasks.start_soon(t.post, LOST, 60.0)

    traffic = await play(scene)
    assert len(traffic.posts) == AT_FIRST + 5
    assert traffic.refused == 1000 - len(traffic.posts)


async def test_a_probe_that_never_left_is_tried_again() -> None:
    """A probe that meets a refused connection decides nothing: the breaker stays open, and one more goes."""

    async def scene(t: Traffic, _tasks: anyio.abc.TaskGroup) -> None:
        t.dispatcher.breaker = Breaker(first_pause_s=10.0)
        for outcome in (LOST, LOST, LOST, NotSent("no connection"), OK, OK):
            await t.post(outcome)

    traffic = await play(scene)
    assert traffic.posts[3] == pytest.approx(10.3)
    assert traffic.posts[4] - traffic.posts[3] < 2
    assert traffic.dispatcher.breaker.paused_until is None


# ------------------------------------------------------------------------------------------------------------- keys


async def test_no_post_begins_once_a_key_has_no_credit() -> None:
    """Of 16 POSTs in the air the first answer is 402: nobody who waits is let through, and all are told."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        tasks.start_soon(t.post, refusal(402), 1.0)
        for _ in range(40):
            tasks.start_soon(t.post, OK, 5.0)

    traffic = await play(scene)
    assert len(traffic.posts) == AT_FIRST
    assert traffic.refused == 41 - AT_FIRST
    assert traffic.dispatcher.closed_for_good is not None


async def test_waiting_for_credit_probes_one_at_a_time_and_goes_on_by_itself() -> None:
    """With --on-no-credit wait the probes go after 30, 60 and 120 s; when one is accepted, all go."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for outcome in (refusal(402), refusal(402), refusal(402)):
            await t.post(outcome)
        for _ in range(4):
            tasks.start_soon(t.post, OK, 1.0)

    traffic = await play(scene, wait=True)
    assert traffic.posts == pytest.approx([0.0, 30.1, 90.2, 210.3, 211.3, 211.3, 211.3])
    assert traffic.dispatcher.closed_for_good is None


async def test_probes_for_credit_come_at_growing_intervals_up_to_a_quarter_of_an_hour() -> None:
    """Twenty wait; whoever is let through is alone until he is refused; after an hour's top-up all go at once."""
    in_air, most_in_air = 0, 0

    async def insist(t: Traffic) -> None:
        nonlocal in_air, most_in_air
        accepted = False
        while not accepted:
            lane = await t.dispatcher.submission()
            assert lane is not None
            begun, accepted = anyio.current_time(), t.now() >= 3600.0
            t.posts.append(t.now())
            in_air += 1
            most_in_air = max(most_in_air, in_air if 1.0 < t.now() < 3600.0 else 0)
            await anyio.sleep(0.1)
            in_air -= 1
            outcome = OK if accepted else refusal(402)
            t.dispatcher.posted(lane, outcome, judge_post(outcome), begun)

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(20):
            tasks.start_soon(insist, t)

    traffic = await play(scene, wait=True)
    probes = [at for at in traffic.posts if at > 1.0]
    gaps = [round(later - earlier, 1) for earlier, later in itertools.pairwise([0.0, *probes])]
    assert gaps[:8] == [30.1, 60.1, 120.1, 240.1, 480.1, 900.1, 900.1, 900.1]
    assert most_in_air == 1
    assert gaps[8:] == [0.1, *[0.0] * (len(gaps) - 9)]
    assert traffic.posts.count(0.0) == AT_FIRST


async def test_the_other_key_carries_on_when_one_has_no_credit() -> None:
    """A key without credit takes no more; the other one takes everything, and nothing stops."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        await t.post(refusal(402))
        for _ in range(9):
            tasks.start_soon(t.post, OK)

    traffic = await play(scene, keys=(KEY, OTHER))
    assert len(traffic.posts) == 10
    assert [lane.account.hopeless for lane in traffic.dispatcher.lanes] == [True, False]
    assert traffic.dispatcher.closed_for_good is None


async def test_a_key_that_never_worked_is_given_up_and_submits_no_more() -> None:
    """Three refused polls, however many runs ask: all of them are told, and no run is paid for with this key."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        async def ask() -> None:
            while await t.poll(refusal(401)):
                pass

        for _ in range(30):
            tasks.start_soon(ask)

    traffic = await play(scene)
    assert sorted(set(traffic.polls)) == pytest.approx([0.0, 2.1, 6.2])
    assert traffic.held(f"polls of key {KEY.fingerprint}") == [2.0, 4.0, 8.0]
    assert traffic.dispatcher.closed_for_good is not None


# ----------------------------------------------------------------------------------------------------------- window


async def test_no_stretch_of_the_window_sees_more_than_the_limit() -> None:
    """POSTs and GETs of any length together: no more than 20 in flight or ended within any 10 s."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for number in range(50):
            tasks.start_soon(t.post, OK, 0.3 + number % 7)
            tasks.start_soon(t.poll)

    traffic = await play(scene, rate=Rate(20, 10.0))
    begun = sorted(traffic.posts + traffic.polls)
    assert len(begun) == 100
    assert all(later - earlier >= 10.0 + MARGIN_S for earlier, later in zip(begun, begun[20:], strict=False))


async def test_polls_that_will_find_nothing_go_out_evenly_and_leave_room_for_a_run_that_becomes_due() -> None:
    """However many wait, and however long: an urgent poll never waits for the window to move on."""

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(30):
            tasks.start_soon(t.poll, RUNNING, None, False)
        await anyio.sleep(12)
        gaps = [later - earlier for earlier, later in itertools.pairwise(t.polls)]
        assert gaps == pytest.approx([5 / 9] * len(gaps), abs=0.2)
        assert await t.poll()
        assert t.polls[-1] == pytest.approx(12.0)

    await play(scene, rate=Rate(20, 10.0))


async def test_a_window_that_is_narrower_than_set_is_found_and_kept_to() -> None:
    """Twenty in ten seconds are set, the service takes ten: after a few refusals hardly any more come."""
    recent, refused = list[float](), list[float]()

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        for _ in range(400):
            while recent and recent[0] <= anyio.current_time() - 10.0:
                recent.pop(0)
            free = len(recent) < 10
            (recent if free else refused).append(anyio.current_time())
            await t.poll(RUNNING if free else refusal(429, "RATE_LIMITED"))

    await play(scene, rate=Rate(20, 10.0))
    assert len(refused) <= 5


async def test_a_service_that_says_how_much_is_left_is_taken_at_its_word() -> None:
    """Others use the same key: what the headers leave is all that goes until they are reset."""
    nearly_used_up = Answer(200, RUNNING.body, allowance=Allowance(3, 7.0))

    async def scene(t: Traffic, tasks: anyio.abc.TaskGroup) -> None:
        await t.poll(nearly_used_up)
        for _ in range(10):
            tasks.start_soon(t.poll)

    traffic = await play(scene, rate=Rate(20, 10.0))
    assert traffic.polls == pytest.approx([0.0, *[0.1] * 3, *[7.1] * 7])


async def test_a_cancelled_wait_leaks_no_slot() -> None:
    """Whoever gives up waiting, before or after the grant, leaves the window as it was."""

    async def scene(t: Traffic, _tasks: anyio.abc.TaskGroup) -> None:
        lane, never = t.dispatcher.lanes[0], NotSent("")

        async def take() -> None:
            if granted := await t.dispatcher.submission():
                t.dispatcher.unused(granted)

        async def ask() -> None:
            if await t.dispatcher.poll(lane, Due(anyio.current_time())):
                t.dispatcher.polled(lane, never, judge_get(never, ""), anyio.current_time())

        for turns in range(60):
            async with anyio.create_task_group() as group:
                for wait in (take, ask, take, ask, take, ask):
                    group.start_soon(wait)
                for _ in range(turns % 10):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert (lane.posts, lane.window.in_flight) == (0, 0)
        for _ in range(3):
            await t.post(OK)

    traffic = await play(scene, rate=Rate(3, 10.0))
    assert traffic.posts == pytest.approx([0.0, 0.1, 0.2])
