"""The budget alone: who waits for money, who is told that there is none, and who is woken."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from batchgen.engine.budget import UNNAMED, Budget
from tests.engine.loops import JumpLoop, backend

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Whoever waits for ever meets the deadline at once."""
    return backend(JumpLoop)


async def test_everyone_who_waits_is_woken() -> None:
    """Ten wait while the only reserve is held; it is given back, and then each of them gets its turn."""
    budget, served = Budget(10, 0), list[str]()

    async def one(name: str) -> None:
        assert await budget.reserve(name, lambda: 10) is None
        served.append(name)
        await anyio.sleep(1)
        budget.release(name)

    with anyio.fail_after(100):
        assert await budget.reserve("first", lambda: 10) is None
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(one, f"r{number}")
            await anyio.sleep(1)
            assert served == []
            budget.release("first")
    assert len(served) == 10


async def test_who_waits_sleeps() -> None:
    """A wait after an earlier waking looks at the budget once, not in every turn of the loop."""
    budget, looks = Budget(10, 0), list[int]()

    def price() -> int:
        looks.append(1)
        return 10

    assert await budget.reserve("first", lambda: 10) is None
    budget.give_back("other", 0)
    with anyio.move_on_after(5):
        await budget.reserve("second", price)
    assert len(looks) <= 3


async def test_the_price_is_asked_for_anew_at_each_look() -> None:
    """A kind's price that is named meanwhile lets those who wait for it go together."""
    budget, known = Budget(100, 0), list[int]()

    def price() -> int | None:
        return known[0] if known else None

    with anyio.fail_after(100):
        assert await budget.reserve("first", price) is None
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(budget.reserve, f"r{number}", price)
            await anyio.sleep(1)
            known.append(20)
            budget.charge("first", 20, None)
    reason = await _now(budget, "r9", 25)
    assert reason == "waits"


async def _now(budget: Budget, name: str, price: int | None) -> object:
    with anyio.move_on_after(1):
        return await budget.reserve(name, lambda: price)
    return "waits"


async def test_what_does_not_fit_when_nothing_is_under_way_is_refused() -> None:
    """The reason names what is spent, the limit and the price."""
    budget = Budget(100_000, 60_000)
    reason = await _now(budget, "r1", 50_000)
    assert "$0.060 of --max-cost $0.100 is spent; the next run (about $0.050)" in str(reason)


async def test_an_estimate_is_corrected_when_the_price_is_named() -> None:
    """What was counted too high makes room again; what was counted too low takes it."""
    budget = Budget(100, 0)
    for name, estimate, cost in (("low", 10, 30), ("high", 50, 20)):
        assert await _now(budget, name, estimate) is None
        budget.charge(name, None, estimate)
        budget.name_price(name, cost)
        budget.name_price(name, cost)  # a second poll says the same, and counts no second time
    assert await _now(budget, "fits", 50) is None
    budget.release("fits")
    assert await _now(budget, "too much", 51) is not None


async def test_a_price_that_was_never_named_lets_no_other_unknown_one_through() -> None:
    """A run whose price is known still goes."""
    budget = Budget(100, 0)
    assert await _now(budget, "r1", None) is None
    budget.charge("r1", None, None)
    assert await _now(budget, "r2", None) == "waits"
    budget.close("r1")
    assert await _now(budget, "r2", None) is UNNAMED
    assert await _now(budget, "r3", 10) is None


async def test_no_limit_lets_everything_through() -> None:
    """Without --max-cost nobody ever waits."""
    budget = Budget(None, 10**12)
    assert [await _now(budget, f"r{number}", None) for number in range(5)] == [None] * 5
