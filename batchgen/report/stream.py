"""Writing to a terminal, pipe or file that may be closed, full, or unable to show a character."""

from __future__ import annotations

import io
from typing import TextIO

from batchgen.report.words import harmless

_PLAINER = str.maketrans(
    {
        "…": "...",
        "→": "->",
        "·": "|",
        "×": "x",
        "–": "-",
        "—": "-",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "\u00a0": " ",
    }
)


def encodable(text: str, encoding: str | None) -> str:
    """The text as this encoding can take it: plainer punctuation, and escapes for what is left."""
    try:
        text.encode(encoding or "utf-8")
    except LookupError:
        return encodable(text, "ascii")
    except UnicodeEncodeError:
        name = encoding or "utf-8"
        return text.translate(_PLAINER).encode(name, "backslashreplace").decode(name)
    return text


def showable(text: str, stream: TextIO) -> str:
    """The text as this stream can take it, and without what a terminal would obey: names of files, ids and words of
    strangers are in it. What a command prints goes through here, as text and as JSON."""
    return encodable(harmless(text), getattr(stream, "encoding", None))


class SafeStream(io.TextIOBase):
    """A stream that never raises: a closed terminal or a full disk must not end a batch that costs money.

    What cannot be written is dropped; what cannot be encoded is spelled otherwise.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute here
        """The encoding of the stream behind it."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Writes what can be written."""
        try:
            self._stream.write(encodable(text, self.encoding))
        except (OSError, ValueError):
            return 0
        return len(text)

    def flush(self) -> None:
        """Hands over what is buffered, where that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return

    def isatty(self) -> bool:
        """Whether the stream behind it is a terminal."""
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def writable(self) -> bool:
        """Yes, whatever becomes of it."""
        return True

    def line(self, text: str) -> None:
        """Writes one line at once, in one piece, so that lines of several writers do not mix."""
        self.write(text + "\n")
        self.flush()
