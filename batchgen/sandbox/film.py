"""Renders a shot as H.264 and AAC in an MP4 file whose index stands first.

One second is encoded, and its packets are looped. Nothing here waits for anything; it is meant for a worker thread.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import VideoFrame
from PIL import Image

from batchgen.sandbox.card import draw_card, draw_track
from batchgen.sandbox.fonts import FontBook
from batchgen.sandbox.shot import FPS, Shot

SAMPLE_RATE = 48_000
AAC_SAMPLES = 1024  # in a frame of AAC
LIGHTS = 5  # on the track; each moves on by one place in a second, so that the loop has no seam
# Without B-frames and lookahead each packet is a frame, in order: a loop may be cut anywhere.
_X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26", "g": str(FPS), "bf": "0", "threads": "1"}
_AAC = {"aac_coder": "fast"}


def render(shot: Shot, book: FontBook, image: bytes | None, path: Path) -> None:
    """Write the video to this path, whole or not at all; raises OSError if the disk takes it not."""
    card = draw_card(shot, book, image)
    partial = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            _encode(container, shot, card)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(container: OutputContainer, shot: Shot, card: Image.Image) -> None:
    video = container.add_stream("libx264", rate=FPS, options=_X264)
    video.width, video.height, video.pix_fmt = shot.width, shot.height, "yuv420p"
    audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", options=_AAC) if shot.sound else None
    loop = [packet for frame in _frames(card) for packet in video.encode(frame)] + video.encode(None)
    sound = _sound(audio, shot) if audio is not None else iter(())
    ahead = next(sound, None)
    for number in range(shot.frames):
        packet = av.Packet(bytes(loop[number % FPS]))
        packet.stream, packet.time_base = video, Fraction(1, FPS)
        packet.pts = packet.dts = number
        packet.duration, packet.is_keyframe = 1, number % FPS == 0
        container.mux_one(packet)
        while ahead is not None and (ahead.pts or 0) <= (number + 1) * SAMPLE_RATE // FPS:
            container.mux_one(ahead)
            ahead = next(sound, None)
    while ahead is not None:
        container.mux_one(ahead)
        ahead = next(sound, None)


def _frames(card: Image.Image) -> Iterator[VideoFrame]:
    """One second of frames: the card, with lights that wander along its lower edge. Only those rows are drawn anew."""
    height = max(4, card.height // 90)
    draw_track(card, card.height - height, height)
    still = VideoFrame.from_image(card).reformat(format="yuv420p")  # type: ignore[no-untyped-call]
    luma, *chroma = (bytes(plane) for plane in still.planes)
    above = luma[: (card.height - height) * still.planes[0].line_size]
    stride = still.planes[0].line_size
    gap = card.width / LIGHTS
    lights = _lights(card.width + math.ceil(gap), gap)
    for number in range(FPS):
        shift = round(gap * (1 - number / FPS))
        row = lights[shift : shift + card.width].ljust(stride, b"\x10")
        frame = VideoFrame(card.width, card.height, "yuv420p")
        for plane, content in zip(
            frame.planes, ((above + row * height).ljust(len(luma), b"\x10"), *chroma), strict=True
        ):
            plane.update(content)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


def _lights(width: int, gap: float) -> bytes:
    """A row of luma with a soft light in the middle of each gap."""
    away = ((x / gap) % 1.0 - 0.5 for x in range(width))
    return bytes(24 + round(190 * math.exp(-50 * share * share)) for share in away)


def _sound(stream: Any, shot: Shot) -> Iterator[Any]:
    """A quiet chord: one second of samples, in a loop, to the last AAC frame that ends with the picture."""
    second = _chord(sum(shot.prompt.encode("utf-8", "replace")) % 12)
    whole = round(shot.frames * SAMPLE_RATE / FPS) // AAC_SAMPLES * AAC_SAMPLES
    samples = (second * (whole // SAMPLE_RATE + 1))[:whole]
    for start in range(0, whole, AAC_SAMPLES):
        frame = AudioFrame(format="fltp", layout="stereo", samples=AAC_SAMPLES)
        content = samples[start : start + AAC_SAMPLES].tobytes()
        for plane in frame.planes:
            plane.update(content)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _chord(semitones: int) -> array[float]:
    """One second of three notes. Whole numbers of hertz, so that the second ends where it began."""
    root = round(196 * 2 ** (semitones / 12))
    steps = [2 * math.pi * round(root * ratio) / SAMPLE_RATE for ratio in (1.0, 1.25, 1.5)]
    return array("f", (0.04 * sum(math.sin(step * n) for step in steps) for n in range(SAMPLE_RATE)))
