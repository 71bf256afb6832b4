"""Is a stream of bytes a whole MP4? A walk over its top-level boxes that reads their headers and skips the rest.

An MP4 is a row of boxes (ISO/IEC 14496-12, section 4.2): each begins with its size (32 bits, big-endian) and its type
(four bytes). Size 1 means that a 64-bit size follows, size 0 that the box goes on to the end of the file. A file that
was cut off ends inside a box, which players often do not notice; flipped bytes inside a box are not found here.
"""

from __future__ import annotations

import struct
from pathlib import Path

from batchgen.core.transfer_terms import Container, Film

_SHORT_HEADER, _LONG_HEADER = 8, 16
_NEEDED = (b"moov", b"mdat")
_EBML = b"\x1a\x45\xdf\xa3"  # the first bytes of every WebM and Matroska file
_SNIFFED = 32


class BoxWalk:
    """Fed with a file's bytes in order, says at any time what the file would be if it ended there.

    Holds a few bytes only, whatever the file's length. A walk serves one file; start over with a new one.
    """

    def __init__(self) -> None:
        self.position = 0  # bytes fed so far
        self.next_header = 0  # where the next box begins
        self._box = b""  # the type of the box that `position` is in
        self._seen: set[bytes] = set()
        self._head = b""
        self._rest = b""  # the beginning of a header whose end has not come yet
        self._endless = False
        self._damage = ""

    def feed(self, data: bytes) -> None:
        """Go on with the next bytes of the file."""
        if len(self._head) < _SNIFFED:
            self._head += data[: _SNIFFED - len(self._head)]
        start, self.position = self.position, self.position + len(data)
        if self._rest:  # it begins at next_header, a few bytes before `start`
            data, start, self._rest = self._rest + data, start - len(self._rest), b""
        while self.next_header < self.position and self._walks_on:
            at = self.next_header - start
            if not self._enter_box(data[at : at + _LONG_HEADER]):
                self._rest = data[at:]
                return

    def skip_to(self, position: int) -> None:
        """Go on at byte `position` without having read what lies before it, which must not reach into a header."""
        self.position = position

    @property
    def wanted(self) -> int | None:
        """Where to read next: a header's beginning or the rest of one. `None`: nothing further is of interest."""
        return max(self.next_header, self.position) if self._walks_on else None

    @property
    def container(self) -> Container:
        """What kind of file the first bytes announce."""
        return _container(self._head)

    @property
    def film(self) -> Film:
        """What the file is, were it to end here."""
        container = self.container
        if container is Container.MP4:
            missing = self._missing()
            return Film(container, not missing, not missing and not self._endless, missing or "it is whole")
        if container is Container.WEBM:
            return Film(container, whole=True, proves_end=False, words="only its length can prove a WebM whole")
        return Film(container, whole=False, proves_end=False, words=describe(self._head))

    @property
    def _walks_on(self) -> bool:
        return not self._endless and not self._damage and self.container in (Container.MP4, Container.UNKNOWN)

    def _enter_box(self, header: bytes) -> bool:
        """Read a box's header; False where its end has not come yet."""
        if len(header) < _SHORT_HEADER:
            return False
        size, self._box = struct.unpack_from(">I4s", header)
        shortest = _SHORT_HEADER
        if size == 1:
            if len(header) < _LONG_HEADER:
                return False
            (size,) = struct.unpack_from(">Q", header, _SHORT_HEADER)
            shortest = _LONG_HEADER
        if self._box in _NEEDED:
            self._seen.add(self._box)
        if size == 0:
            self._endless = True
        elif size < shortest:
            self._damage = f"the box at byte {self.next_header} claims a size of {size} bytes"
        else:
            self.next_header += size
        return True

    def _missing(self) -> str:
        """Why the file, ending here, is no whole MP4; empty when it is one."""
        if self._damage:
            return self._damage
        if self._rest:
            return f"the header of the box at byte {self.next_header} is cut off"
        if self.next_header > self.position and not self._endless:
            name = self._box.decode("latin-1")
            return f"the box {name!r} ends at byte {self.next_header}, beyond the end at byte {self.position}"
        if self._box == b"moof":
            return "it ends before the pictures that its last box 'moof' describes"
        absent = [name.decode() for name in _NEEDED if name not in self._seen]
        return f"it has no box {' and no box '.join(map(repr, absent))}" if absent else ""


def walk_file(path: Path) -> Film:
    """What the finished file at `path` is. Reads its boxes' headers only. Raises OSError."""
    walk, size = BoxWalk(), path.stat().st_size
    with path.open("rb") as file:
        walk.feed(file.read(_SNIFFED))
        while walk.wanted is not None and walk.wanted < size:
            walk.skip_to(walk.wanted)
            file.seek(walk.position)
            header = file.read(_LONG_HEADER)
            if not header:
                return walk.film  # someone has cut the file meanwhile
            walk.feed(header)
    walk.skip_to(size)
    return walk.film


def describe(head: bytes) -> str:
    """What the first bytes of something that is no MP4 look like, in words."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks = (
        ("there is nothing", not head),
        ("it looks like HTML", text.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))),
        ("it looks like XML", text.startswith(b"<")),
        ("it looks like JSON", text.startswith((b"{", b"["))),
        ("it is compressed with gzip", head.startswith(b"\x1f\x8b")),
        ("it is a picture", head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"))),
        ("it is too short for a video", len(head) < _SHORT_HEADER),
    )
    return next((words for words, fits in looks if fits), f"it begins with the bytes {head[:12].hex(' ')}")


def _container(head: bytes) -> Container:
    if len(head) < _SHORT_HEADER:
        return Container.UNKNOWN
    if head[4:8] == b"ftyp":
        return Container.MP4
    return Container.WEBM if head.startswith(_EBML) else Container.OTHER
