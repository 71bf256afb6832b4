"""Small films, built box by box, for the tests of downloads."""

from __future__ import annotations

import struct
from array import array


def box(name: bytes, payload: bytes = b"", *, size: int | None = None) -> bytes:
    """A box with a 32-bit size; `size` forges the one that it claims."""
    return struct.pack(">I4s", len(payload) + 8 if size is None else size, name) + payload


def long_box(name: bytes, payload: bytes = b"", *, size: int | None = None) -> bytes:
    """A box with a 64-bit size."""
    return struct.pack(">I4sQ", 1, name, len(payload) + 16 if size is None else size) + payload


FTYP = box(b"ftyp", b"isom\x00\x00\x02\x00isommp41")
MOOV = box(b"moov", b"\x00" * 100)


def film(length: int = 4096) -> bytes:
    """A film as the walk sees it, `length` bytes long, none of whose blocks are alike."""
    payload = array("L", range(length // 4 + 1)).tobytes()
    return FTYP + MOOV + box(b"mdat", payload[: length - len(FTYP) - len(MOOV) - 8])
