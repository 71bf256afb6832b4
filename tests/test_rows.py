"""Every row of the three verdict tables is proven over a real socket, by a test that carries its name."""

from __future__ import annotations

import pytest

from batchgen.core import answers, verdict
from tests.engine import test_polls, test_posts, test_raw_posts
from tests.rows import all_rows, named_by, names_in, watch
from tests.service import test_download

SOCKET_TESTS = (test_posts, test_raw_posts, test_polls, test_download)


def test_every_row_has_a_test_over_a_real_socket() -> None:
    """A new row without one fails here, and so does a name that no row has any more."""
    assert named_by(SOCKET_TESTS) == all_rows()


def test_names_are_unique_within_each_table() -> None:
    """Else one row's test would stand for another's. (That of downloads is held beside its table.)"""
    for table in (verdict.POST_TABLE, verdict.GET_TABLE):
        names = [row.name for row in table]
        assert len(names) == len(set(names))


def test_a_row_counts_as_proven_only_when_it_has_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch sees the row that decided, and no other."""
    decided = watch(monkeypatch)
    verdict.judge_post(answers.Answer(402))
    assert decided == {("POST", "402")} == names_in([pytest.mark.row("POST", "402")])
