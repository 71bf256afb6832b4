"""Videos are what was asked for: opened and decoded with PyAV."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import av
import pytest

from batchgen.models.registry import get, model_ids
from batchgen.records import DEFAULT_MODEL
from batchgen.sandbox.film import render
from batchgen.sandbox.fonts import FontBook, installed_fonts
from batchgen.sandbox.shot import Shot, filled, shot_of


@pytest.fixture(scope="module")
def book() -> FontBook:
    return FontBook(installed_fonts())


def shot(**given: Any) -> Shot:
    model = get(DEFAULT_MODEL)
    assert model is not None
    return shot_of(model, {"prompt": "A lamp", "resolution": "480p", "duration": "4", **given})


@pytest.mark.parametrize(
    ("given", "size", "seconds", "sound"),
    [
        ({"aspect_ratio": "16:9"}, (864, 496), 4, False),
        ({"aspect_ratio": "9:16", "generate_audio": True}, (496, 864), 4, True),
        ({"aspect_ratio": "21:9", "duration": "8", "generate_audio": False}, (992, 432), 8, False),
        ({"resolution": "1080p"}, (1920, 1080), 4, False),
        ({"duration": "12", "generate_audio": True, "aspect_ratio": "1:1"}, (640, 640), 12, True),
    ],
)
def test_size_duration_codecs_and_sound_are_those_asked_for(
    tmp_path: Path, book: FontBook, given: dict[str, Any], size: tuple[int, int], seconds: float, sound: bool
) -> None:
    render(shot(**given), book, None, tmp_path / "v.mp4")
    with av.open(str(tmp_path / "v.mp4")) as film:
        video = film.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == size
        assert video.average_rate == 24
        assert video.frames == 24 * seconds
        assert film.duration == seconds * 1_000_000
        assert [(a.codec_context.name, a.channels) for a in film.streams.audio] == ([("aac", 2)] if sound else [])
        assert sum(1 for _ in film.decode(video=0)) == 24 * seconds


def test_every_frame_of_a_second_differs_from_the_first(tmp_path: Path, book: FontBook) -> None:
    render(shot(), book, None, tmp_path / "v.mp4")
    with av.open(str(tmp_path / "v.mp4")) as film:
        frames = [hashlib.sha256(bytes(f.planes[0])).hexdigest() for f, _ in zip(film.decode(video=0), range(24))]  # noqa: B905
    assert len(set(frames)) == 24


def test_the_sound_is_no_silence(tmp_path: Path, book: FontBook) -> None:
    render(shot(generate_audio=True), book, None, tmp_path / "v.mp4")
    with av.open(str(tmp_path / "v.mp4")) as film:
        frames = [bytes(frame.planes[0]) for frame in film.decode(audio=0)]
    assert sum(any(frame) for frame in frames) > len(frames) * 0.9


def test_the_index_stands_before_the_media(tmp_path: Path, book: FontBook) -> None:
    render(shot(), book, None, tmp_path / "v.mp4")
    content = (tmp_path / "v.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_the_same_shot_makes_the_same_bytes_and_leaves_nothing_else(tmp_path: Path, book: FontBook) -> None:
    for name in ("a.mp4", "b.mp4"):
        render(shot(), book, None, tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("model_id", model_ids())
def test_every_model_has_a_shot_for_a_prompt_alone(model_id: str) -> None:
    model = get(model_id)
    assert model is not None
    made = shot_of(model, {"prompt": "x"})
    assert made.width % 2 == made.height % 2 == 0
    assert made.seconds >= 4
    assert not made.sound


def test_kling_takes_a_number_of_seconds_and_a_mode() -> None:
    model = get("kling/kling-3.0")
    assert model is not None
    made = shot_of(model, {"prompt": "x", "duration": 7, "mode": "4K", "aspect_ratio": "9:16"})
    assert (made.width, made.height, made.frames) == (2160, 3840, 168)


def test_gaps_are_filled_with_what_the_model_offers() -> None:
    model = get(DEFAULT_MODEL)
    assert model is not None
    assert filled(model, {"prompt": "x", "resolution": "1080p"}) == {
        "prompt": "x",
        "resolution": "1080p",
        "aspect_ratio": "16:9",
        "duration": "4",
        "generate_audio": False,
    }
