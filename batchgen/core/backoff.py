"""Pauses that double: one rule for the gate, keys and polls."""

from __future__ import annotations

# 2 to this power is beyond every limit in use; without it, a long outage would end in an OverflowError.
MOST_DOUBLINGS = 30


def doubled_s(first_s: float, longest_s: float, times: int) -> float:
    """`first_s` doubled so many times, in seconds, and never more than `longest_s`."""
    return min(longest_s, first_s * 2.0 ** min(max(times, 0), MOST_DOUBLINGS))


def spread_s(pause_s: float, roll: float) -> float:
    """Takes up to a quarter off a pause (`roll` from 0 to 1), so that many who wait do not come back in step."""
    return pause_s * (0.75 + roll / 4)
