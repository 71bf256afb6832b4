"""The walk over an MP4's boxes tells whole from short, damaged and something else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.transfer_terms import Container, Film
from batchgen.service.boxes import BoxWalk, describe, walk_file
from tests.service.films import FTYP, MOOV, box, film, long_box

WHOLE = {
    "plain": film(),
    "moov last": FTYP + box(b"mdat", b"x" * 50) + MOOV,
    "64-bit size": FTYP + MOOV + long_box(b"mdat", b"x" * 50),
    "fragments": FTYP + MOOV + b"".join(box(b"moof", b"m" * 9) + box(b"mdat", b"d" * 30) for _ in range(20)),
    "many empty boxes": FTYP + MOOV + box(b"free") * 200 + box(b"mdat"),
}
NOT_WHOLE = {
    "no moov": (FTYP + box(b"mdat", b"x" * 50), "no box 'moov'"),
    "no mdat": (FTYP + MOOV, "no box 'mdat'"),
    "ftyp only": (FTYP, "no box 'moov' and no box 'mdat'"),
    "last box too long": (FTYP + MOOV + box(b"mdat", b"x" * 9, size=99), "box 'mdat' ends at byte"),
    "size below 8": (FTYP + MOOV + box(b"mdat", size=7), "claims a size of 7 bytes"),
    "64-bit size below 16": (FTYP + MOOV + long_box(b"mdat", size=15), "claims a size of 15 bytes"),
    "header cut": (film() + b"\x00\x00\x00", "header of the box at byte 4096 is cut off"),
    "64-bit header cut": (FTYP + MOOV + long_box(b"mdat")[:12], "is cut off"),
}
OTHERS = {
    b"<!DOCTYPE html><title>Sorry</title>": "HTML",
    b'\xef\xbb\xbf\n <html lang="en">': "HTML",
    b'{"error": "expired"}': "JSON",
    b'<?xml version="1.0"?><Error><Code>ExpiredToken': "XML",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00": "gzip",
    b"\x89PNG\r\n\x1a\n\x00": "picture",
    b"\x00\x00\x00\x08moov\x00\x00\x00\x08mdat": "00 00 00 08 6d 6f 6f 76",
}


def walked(data: bytes, cuts: list[int] | None = None) -> Film:
    walk = BoxWalk()
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts or [])})
    for start, end in pairwise(edges):
        walk.feed(data[start:end])
    return walk.film


@pytest.mark.parametrize("name", WHOLE)
def test_whole_films_are_whole_and_prove_their_end(name: str) -> None:
    result = walked(WHOLE[name])
    assert (result.container, result.whole, result.proves_end) == (Container.MP4, True, True)


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_short_and_damaged_films_are_not_whole_and_say_why(name: str) -> None:
    data, words = NOT_WHOLE[name]
    result = walked(data)
    assert result.container is Container.MP4
    assert not result.whole
    assert not result.proves_end
    assert words in result.words


@pytest.mark.parametrize(("head", "words"), OTHERS.items())
def test_what_is_no_video_is_named(head: bytes, words: str) -> None:
    result = walked(head)
    assert (result.container, result.whole) == (Container.OTHER, False)
    assert words in result.words
    assert result.words == describe(head)


def test_a_box_to_the_end_of_the_file_is_whole_but_proves_no_end() -> None:
    result = walked(FTYP + MOOV + box(b"mdat", b"x" * 40, size=0))
    assert (result.whole, result.proves_end) == (True, False)


def test_a_webm_is_taken_but_proves_no_end() -> None:
    result = walked(b"\x1a\x45\xdf\xa3" + b"\x00" * 60)
    assert (result.container, result.whole, result.proves_end) == (Container.WEBM, True, False)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00\x00\x00"])
def test_too_few_bytes_are_not_judged(data: bytes) -> None:
    assert walked(data).container is Container.UNKNOWN
    assert not walked(data).whole


@pytest.mark.parametrize("name", WHOLE)
def test_every_cut_of_a_whole_film_is_seen(name: str) -> None:
    """Except between two fragments: there, only the announced length tells."""
    data = WHOLE[name]
    seeming_whole = [end for end in range(len(data)) if walked(data[:end]).whole]
    assert all(data[end + 4 : end + 8] == b"moof" for end in seeming_whole)
    assert len(seeming_whole) == max(0, data.count(b"moof") - 1)


@given(st.sampled_from([*WHOLE.values(), *(data for data, _ in NOT_WHOLE.values())]), st.lists(st.integers(0, 5000)))
def test_how_the_bytes_arrive_changes_nothing(data: bytes, cuts: list[int]) -> None:
    assert walked(data, cuts) == walked(data)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_nonsense_is_walked_without_an_error(data: bytes, cuts: list[int]) -> None:
    assert walked(FTYP + data, cuts) == walked(FTYP + data)


def _files() -> Iterator[bytes]:
    yield from WHOLE.values()
    yield from (data for data, _ in NOT_WHOLE.values())
    yield from OTHERS
    yield from (b"", FTYP + MOOV + box(b"mdat", b"x" * 40, size=0))


@pytest.mark.parametrize("data", list(_files()))
def test_a_finished_file_is_judged_as_a_stream_is(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "lamp.mp4"
    path.write_bytes(data)
    assert walk_file(path) == walked(data)


def test_a_large_file_is_judged_by_its_headers_alone(tmp_path: Path) -> None:
    """Four gigabytes that are not there are not read."""
    path, size = tmp_path / "lamp.mp4", 4 * 1024**3
    with path.open("wb") as file:
        file.write(FTYP + MOOV + long_box(b"mdat", size=size))
        file.truncate(len(FTYP) + len(MOOV) + size)
    assert walk_file(path).whole
