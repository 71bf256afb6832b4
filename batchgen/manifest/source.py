"""A manifest's bytes, read once, and its text; or, in words, why there is none."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from batchgen.errors import ManifestInvalid, UsageProblem
from batchgen.manifest.suggest import nearest
from batchgen.records import Place, Problem

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
MOST_BYTES = 64 << 20
"""Of a manifest: a hundred thousand runs. A larger file is a slip of the hand, and would fill the memory."""
_SAVE_AS = "Save it as UTF-8 (in a spreadsheet: “CSV UTF-8”)."


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest's text, with every line break as a newline. `name` is the file as the user gave it."""

    name: str
    text: str
    sha256: str


def read(path: Path) -> Source:
    """The text of a manifest, UTF-8 with or without a byte order mark.

    Raises `UsageProblem` where the file cannot be read, and `ManifestInvalid` where its bytes are no text.
    """
    data = read_bytes(path, "manifest")
    text = _line_breaks(_decoded(data, str(path)))
    control = _CONTROL.search(text)
    if control:
        what = "a NUL byte" if control[0] == "\0" else f"the control character U+{ord(control[0]):04X}"
        raise _invalid(str(path), text[: control.start()], f"the file holds {what}, so it is not a text manifest.")
    return Source(str(path), text, hashlib.sha256(data).hexdigest())


def read_bytes(path: Path, kind: str) -> bytes:
    """The bytes of an ordinary file; raises `UsageProblem` with the way out where there is none. `kind` names it."""
    try:
        # What is opened is what is looked at, and opening a pipe must not wait for someone to write into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise UsageProblem(f"{path} is a folder, not a {kind}.", f"Name a {kind} file in it.")
            data = _most_of(descriptor) if stat.S_ISREG(mode) else None
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise UsageProblem(f"{path} does not exist.", _similar_file(path)) from None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:  # a NUL in the name
        raise UsageProblem(f"{str(path)!r} cannot be the name of a file.") from None
    if data is None:
        raise UsageProblem(f"{path} is not an ordinary file.", f"Save the {kind} to a file first.")
    if len(data) > MOST_BYTES:
        raise UsageProblem(f"{path} is larger than {MOST_BYTES >> 20} MiB.", f"Split it, if it is a {kind} at all.")
    return data


def _most_of(descriptor: int) -> bytes | None:
    """A byte more than is allowed, or all; `None` from a file of the system's that has nothing to say yet."""
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        data: bytes | None = file.read(MOST_BYTES + 1)
    return data


def _similar_file(path: Path) -> str | None:
    try:
        siblings = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except (OSError, ValueError):
        return None
    similar = nearest(path.name, sorted(siblings))
    return f"Did you mean {path.with_name(similar)}?" if similar else None


def _decoded(data: bytes, name: str) -> str:
    for mark, encoding in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise _invalid(name, "", f"the file is {encoding}, not UTF-8. {_SAVE_AS}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = _line_breaks(data[: error.start].decode("utf-8"))
        message = f"the byte 0x{data[error.start]:02X} is not UTF-8; the file is in another encoding. {_SAVE_AS}"
        raise _invalid(name, before, message) from None


def _line_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _invalid(name: str, before: str, message: str) -> ManifestInvalid:
    """The problem at the end of `before`, the text that is still in order."""
    place = Place(name, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    return ManifestInvalid([Problem(place, message)])
