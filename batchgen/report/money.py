"""Micro-dollars in words. An amount that nobody knows is never shown as nothing."""

from __future__ import annotations

from batchgen.core.cost import Money

MICRO = 1_000_000


def dollars(micro: int | None) -> str:
    """An amount of micro-dollars: "$0.04", "$12.345", "$1,250.00"; "unknown" for None.

    Two decimals at least and three at most, rounded half up; an amount too small for those keeps all six, so that
    something is never shown as nothing.
    """
    if micro is None:
        return "unknown"
    sign, amount = ("-" if micro < 0 else ""), abs(micro)
    if 0 < amount < 1000:
        return f"{sign}$0.{amount:06d}"
    whole, thousandths = divmod((amount + 500) // 1000, 1000)
    decimals = f"{thousandths:03d}"
    return f"{sign}${whole:,}.{decimals[:2] if decimals[2] == '0' else decimals}"


def usd(micro: int) -> str:
    """An amount of micro-dollars for programs, exact: "0.04", "12.3456", "1250.00"; two decimals at least."""
    sign, amount = ("-" if micro < 0 else ""), abs(micro)
    decimals = f"{amount % MICRO:06d}".rstrip("0")
    return f"{sign}{amount // MICRO}.{decimals:0<2}"


def usd_number(micro: int) -> int | float:
    """The same as a JSON number. A float's shortest spelling is the amount itself up to a billion dollars."""
    whole, rest = divmod(micro, MICRO)
    return micro / MICRO if rest else whole


def dollars_between(least: int, most: int) -> str:
    """A range of amounts, or the one amount where both are the same."""
    return dollars(least) if least == most else f"{dollars(least)} to {dollars(most)}"


def at_least(known: int, unknown_runs: int) -> str:
    """A sum in which some runs have no known price."""
    if not unknown_runs:
        return dollars(known)
    return f"{dollars(known)} and what {unknown_runs:,} more cost" if known else "unknown"


def money_words(money: Money) -> str:
    """The ledger's sums in a sentence: spent, given back, in doubt (which counts as spent), and what has no price."""
    parts = [_spent(money)]
    if money.refunded:
        parts.append(f"{dollars(money.refunded)} refunded")
    if money.doubtful_runs:
        amount = f"about {dollars(money.doubtful)}" if money.doubtful else "an unknown amount"
        runs = "1 run" if money.doubtful_runs == 1 else f"{money.doubtful_runs:,} runs"
        parts.append(f"{amount} in doubt or abandoned ({runs}), which counts as spent")
    words = "; ".join(parts) + "."
    if money.unpriced:
        named = "1 run has" if money.unpriced == 1 else f"{money.unpriced:,} runs have"
        words += f" {named} a price that is not known and is not in these sums."
    return words


def _spent(money: Money) -> str:
    if money.spent or not (money.unpriced or money.doubtful_runs):
        return f"{dollars(money.spent)} spent"
    return "the amount spent is unknown" if money.unpriced else "nothing spent for sure"


def money_json(money: Money) -> dict[str, int]:
    """The same sums for programs, in micro-dollars."""
    return {
        "spent_micro_usd": money.spent,
        "refunded_micro_usd": money.refunded,
        "in_doubt_micro_usd": money.doubtful,
        "counted_as_spent_micro_usd": money.counted,
        "runs_in_doubt_or_abandoned": money.doubtful_runs,
        "runs_of_unknown_price": money.unpriced,
    }
