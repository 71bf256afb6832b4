"""Keeps the videos of the runs: rendered when first asked for, in at most two threads, and kept in the folder."""

from __future__ import annotations

from pathlib import Path

from anyio import CapacityLimiter, Lock, to_thread

from batchgen.sandbox.film import render
from batchgen.sandbox.fonts import FontBook, installed_fonts
from batchgen.sandbox.images import first_image
from batchgen.sandbox.shot import Shot

THREADS = 2


class Studio:
    """Videos by name. Made inside the event loop that it serves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limiter = CapacityLimiter(THREADS)
        self._rendering: dict[str, Lock] = {}
        self._book: FontBook | None = None

    async def video(self, name: str, shot: Shot) -> bytes:
        """The bytes of a video, always the same ones for the same name; rendered first where that is yet to be done."""
        path = self._folder / name
        content = await to_thread.run_sync(_read, path)
        if content is None:
            async with self._rendering.setdefault(name, Lock()):
                content = await to_thread.run_sync(_read, path)
                if content is None:
                    image = await first_image(shot.images)
                    content = await to_thread.run_sync(self._render, shot, image, path, limiter=self._limiter)
            self._rendering.pop(name, None)
        return content

    def _render(self, shot: Shot, image: bytes | None, path: Path) -> bytes:
        if self._book is None:  # two threads may both do it once, which costs some milliseconds and no harm
            self._book = FontBook(installed_fonts())
        path.parent.mkdir(parents=True, exist_ok=True)
        render(shot, self._book, image, path)
        return path.read_bytes()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
