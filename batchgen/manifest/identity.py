"""What a run is called in the state: its own id, or one made from what it is, so that moving rows moves nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256

MAX_ID = 200
"""Characters of a given id."""
SLUG = 40
"""Characters of a generated id before its hash."""

_NOT_ASCII_WORD = re.compile(r"[^a-z0-9]+")
_FORBIDDEN = frozenset(("Cc", "Cs", "Zl", "Zp"))
_KEPT = "LNM"  # letters, digits and the marks that many scripts write vowels with


def id_fault(text: str) -> str | None:
    """What is wrong with a given (and trimmed) id, or `None`."""
    if not text:
        return "id is empty."
    if len(text) > MAX_ID:
        return f"id has {len(text)} characters; it may have {MAX_ID}."
    if not text.isprintable() and any(unicodedata.category(char) in _FORBIDDEN for char in text):
        return "id holds a control character or a line break."
    return None


def slug(prompt: str) -> str:
    """A readable beginning of an id: the prompt's first words, lower case, letters and digits of any script."""
    head = prompt[: SLUG * 2].lower()
    if head.isascii():
        words = _NOT_ASCII_WORD.sub("-", head).strip("-")
    else:
        folded = unicodedata.normalize("NFKC", head)
        kept = "".join(char if unicodedata.category(char)[0] in _KEPT else " " for char in folded)
        words = "-".join(kept.split())
    return _cut(words) or "run"


def _cut(words: str) -> str:
    if len(words) <= SLUG:
        return words
    end = SLUG if words[SLUG] == "-" else words.rfind("-", 0, SLUG)
    if end < SLUG // 3:  # a script without spaces, or one very long word
        end = SLUG
        while end > 1 and unicodedata.category(words[end])[0] == "M":
            end -= 1  # a mark stays with its letter
    return words[:end].strip("-")


def run_digest(model: str, input_sha256: str) -> str:
    """The SHA-256, in hex, of a run's model and input, the input by its own SHA-256, so that it is spelled out once."""
    return sha256(f"{model}\0{input_sha256}".encode("utf-8", "surrogatepass")).hexdigest()


class Names:
    """Gives ids to runs that have none, in the order of the manifest."""

    def __init__(self, given: Iterable[str]) -> None:
        """`given`: every id in the manifest that is the user's own. No generated one will equal it."""
        self._taken = set(given)
        self._owner: dict[str, str] = {}
        self._copies: dict[str, int] = {}

    def name(self, prompt: str, digest: str) -> str:
        """An id for a run with this digest of model and input. Equal runs are numbered: the second ends in `-2`."""
        base = f"{slug(prompt)}-{digest[:8]}"
        if self._owner.setdefault(base, digest) != digest:
            base = f"{base}{digest[8:]}"  # another run under the same eight digits
        number = self._copies.get(base, 0) + 1
        while (name := base if number == 1 else f"{base}-{number}") in self._taken:
            number += 1
        self._copies[base] = number
        self._taken.add(name)
        return name
