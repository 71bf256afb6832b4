"""Where finished videos live: safe names in one folder, and publishing that never writes over anything."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import stat
import tempfile
import unicodedata
from pathlib import Path

from batchgen.errors import UsageProblem
from batchgen.store.files import make_folder

_SUFFIX = ".mp4"
_LONGEST_NAME = 255  # bytes, on nearly every file system
_TOKEN_DIGITS = 8
# The numbers are a video's and a duplicate's, the digits a batch's.
_LONGEST_STEM = _LONGEST_NAME - len("-1234-1234.mp4.12345678.part")
_HASH_DIGITS = (8, 16, 64)  # more only where fewer are taken
_BAD_BEGINNINGS = ".-~ "  # hidden, taken for an option, or trimmed
_FORBIDDEN = frozenset('<>:"/\\|?*')  # on Windows and its file systems; "/" everywhere
# Unassigned, control, format (they can turn text around), private, surrogate; line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cn", "Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


class VideoFolder:
    """The folder that videos are published to. Its functions block, and may run in many worker threads at once.

    `owner` names the batch, as the path of its state does: several batches may share a folder and have runs of the same
    id, and neither may write into, publish or drop another's half of a video, nor a `.part` of another program.
    """

    def __init__(self, folder: Path, owner: str = "") -> None:
        self._folder = folder
        self._token = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:_TOKEN_DIGITS]
        self._owners: dict[str, tuple[str, int, int]] = {}  # by name, case folded: whose it is

    def prepare(self) -> None:
        """Create the folder, and show by a probe that it takes files. Raises UsageProblem."""
        try:
            make_folder(self._folder)
            # Without a name, where the file system can do that: a kill at this moment leaves nothing lying about.
            with tempfile.TemporaryFile(dir=self._folder, prefix=".batchgen-") as probe:
                probe.write(b"probe")
                probe.flush()
        except OSError as problem:
            raise UsageProblem(_why_unusable(self._folder, problem), "Choose another with --output-dir.") from problem

    def name_for(self, run_id_or_key: str, index: int, count: int) -> str:
        """The file name for video `index` (counted from 1) of `count` of a run: `lamp.mp4`, or `lamp-1.mp4` and so on.

        Safe on every file system. An identifier that cannot be a name as it is gets a short hash appended, and so does
        one whose name another has already got from this folder, also where only upper and lower case tell them apart
        (`Lamp`, `lamp`) or a number (`lamp-1`, and the first video of `lamp`). Asked again, it gives the same name.
        Raises ValueError for an index outside of 1 to `count`.
        """
        if not 1 <= index <= count:
            raise ValueError(f"there is no video {index} of {count}")
        owner = (run_id_or_key, index, count)
        number = f"-{index}" if count > 1 else ""
        plain = safe_stem(run_id_or_key)
        for stem in (plain, *(_hashed(plain, run_id_or_key, digits) for digits in _HASH_DIGITS)):
            name = f"{stem}{number}{_SUFFIX}"
            if self._owners.setdefault(name.casefold(), owner) == owner:  # one step, so that threads need no lock
                return name
        raise ValueError(f"all names for {run_id_or_key!r} are taken")

    def part_for(self, name: str) -> Path:
        """Where the video `name` is written before it is whole: in the same folder, so that a rename publishes it."""
        return self._folder / f"{_checked(name)}.{self._token}.part"

    def publish(self, part: Path, name: str) -> Path:
        """Give the finished, durable `part` its name, durably, and return its path.

        Nothing is ever written over, and no symbolic link followed. A file that is already there and has the same bytes
        is the video, and the part is dropped; beside another file the video becomes `NAME-2.mp4`, `-3` and so on.
        Raises OSError, and ValueError where part or name lie outside of the folder or the part is no file.
        """
        if part.parent != self._folder or not _is_file(part):
            raise ValueError(f"{part} is no file in {self._folder}")
        stem = _checked(name).removesuffix(_SUFFIX)
        target = self._folder / name
        for number in itertools.count(2):
            if _place(part, target):
                break
            if _same(part, target):
                _sync(target)  # nobody knows whether whoever put it there has done so
                break
            target = self._folder / f"{stem}-{number}{_SUFFIX}"
        part.unlink(missing_ok=True)
        _sync(self._folder)
        return target


def safe_stem(identifier: str) -> str:
    """`identifier` as the stem of a file name: itself where that is safe everywhere, else mended and with a hash."""
    stem = "".join(c if _is_allowed(c) else "_" for c in unicodedata.normalize("NFC", identifier)).rstrip(". ")
    if not stem or stem[0] in _BAD_BEGINNINGS or _DEVICES.fullmatch(stem.partition(".")[0].rstrip()):
        stem = f"_{stem.lstrip(_BAD_BEGINNINGS)}"
    fits = len(stem.encode()) <= _LONGEST_STEM
    return stem if fits and stem == identifier else _hashed(stem, identifier, _HASH_DIGITS[0])


def _is_allowed(character: str) -> bool:
    return character not in _FORBIDDEN and unicodedata.category(character) not in _FORBIDDEN_CATEGORIES


def _hashed(stem: str, identifier: str, digits: int) -> str:
    """`stem`, cut between two characters if need be, and the beginning of its identifier's SHA-256."""
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    return stem.encode()[: _LONGEST_STEM - digits - 1].decode(errors="ignore") + f"-{digest}"


def _checked(name: str) -> str:
    if name in ("", ".", "..") or any(c in "/\\\0" for c in name):
        raise ValueError(f"{name!r} is no file name")
    return name


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _place(part: Path, target: Path) -> bool:
    """Give `part` the name `target`, unless something has that name: then False."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
    else:
        return True
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # reserves the name, as a rename alone cannot
    except FileExistsError:
        return False
    try:
        part.replace(target)
    except OSError:
        target.unlink()
        raise
    return True


def _same(part: Path, target: Path) -> bool:
    """Is `target` a file of the same size and SHA-256?"""
    return _is_file(target) and target.stat().st_size == part.stat().st_size and _sha256(target) == _sha256(part)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Make a file's bytes durable, or the names in a folder where its file system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _why_unusable(folder: Path, problem: OSError) -> str:
    words = {
        errno.EEXIST: "exists and is no folder",
        errno.ENOTDIR: "lies below something that is no folder",
        errno.EACCES: "may not be written to by this user",
        errno.EPERM: "may not be written to by this user",
        errno.EROFS: "is on a file system that is read-only",
        errno.ENOSPC: "is on a full disk",
        errno.EDQUOT: "is over this user's disk quota",
    }
    why = words.get(problem.errno or 0, f"cannot be used: {problem.strerror or problem}")
    return f"The output folder {folder} {why}."
