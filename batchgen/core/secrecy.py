"""What must not be kept or shown of an answer: the key, however a service says it back, and a link's signature."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

MASK = "[key]"
LEAST_SECRET = 16
"""Characters from which on a key is long enough for a part of it to be nothing else."""
PIECE = 8
"""Characters of a long key that give away too much: services like to quote its beginning."""

# A signed link gives its holder the video: what it leads to may be known, not what opens it.
_SIGNED = re.compile(r"""(\bhttps?://[^\s?#"'<>\\]*)[?#][^\s"'<>\\]*""", re.IGNORECASE)


def unsigned(text: str) -> str:
    """The text, its links without query and fragment."""
    return _SIGNED.sub(r"\1?…", text)


def hidden(body: bytes, secret: str) -> bytes:
    """The body without the key: also escaped as in a URL, in base64, and in pieces. Of a short key, only the whole."""
    if len(secret) < LEAST_SECRET:
        return body.replace(secret.encode(), MASK.encode()) if secret else body
    taken = bytearray(len(body))
    for form in _forms(secret):
        for start in range(len(form) - PIECE + 1):
            piece = form[start : start + PIECE]
            at = body.find(piece)
            while at >= 0:
                taken[at : at + PIECE] = b"\x01" * PIECE
                at = body.find(piece, at + 1)
    return _without(body, bytes(taken))


def _without(body: bytes, taken: bytes) -> bytes:
    """The body with each stretch that is marked in `taken` replaced by the mask."""
    parts, at = list[bytes](), 0
    for found in re.finditer(rb"\x01+", taken):
        parts += (body[at : found.start()], MASK.encode())
        at = found.end()
    return b"".join((*parts, body[at:])) if parts else body


def _forms(secret: str) -> frozenset[bytes]:
    """The spellings of a key. In base64 it looks different at each of three places within what is encoded with it."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), quote(secret, safe="").lower().encode()}
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            whole = encode(b"\0" * before + plain).rstrip(b"=")
            found.add(whole[-(-before * 4 // 3) : len(whole) - (before + len(plain)) % 3])
    return frozenset(found)
