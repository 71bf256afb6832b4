"""Five thousand hostile names: nothing is written outside of the output folder, and nothing is written over."""

from __future__ import annotations

import hashlib
import os
import random
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio

from batchgen.errors import ManifestInvalid
from batchgen.manifest import load
from batchgen.service.part import open_part
from batchgen.store.videos import VideoFolder
from tests.soak.figures import Figures, Order
from tests.soak.fuzz import cases

FULL = 5_000
NAMES_AT_ONCE = 10
OUTSIDE = "outside"

TREES = dict[str, str]
"""What stands where: a path, and the kind and contents of what is there."""


def soak(order: Order) -> Figures:
    """Publishes videos under hostile names, in threads at once, among whatever can stand in their way."""
    seen = cases(order, -(-FULL // NAMES_AT_ONCE), one)
    done = order.count(-(-FULL // NAMES_AT_ONCE)) * NAMES_AT_ONCE
    return Figures(f"{done:,} hostile names", f"0 writes outside, 0 files written over: {seen.words}")


def one(rng: random.Random, folder: Path) -> str:
    """Ten names at once, each claimed by two batches, in a folder where something stands in the way of some."""
    output = folder / OUTSIDE / "videos"
    output.mkdir(parents=True)
    (output.parent / "precious").write_bytes(b"precious")
    identifiers = _different(_names(rng), NAMES_AT_ONCE)
    _traps(rng, output, identifiers)
    before = _tree(folder)
    videos = [VideoFolder(output, f"batch {number}") for number in (1, 2)]
    work = [(batch, name, f"{n}: {name!r}".encode()) for name in identifiers for n, batch in enumerate(videos)]
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda item: _publish(*item), work))
    after = _tree(folder)
    assert {path: after.get(path) for path in before} == before, "something that was there is not as it was"
    new = {path for path in after if path not in before}
    assert new == {str(path.relative_to(folder)) for path in published}, (new, published)
    for batch in videos:
        asked = {unicodedata.normalize("NFC", batch.name_for(name, 1, 1)).casefold() for name in identifiers}
        assert len(asked) == len(identifiers), "two runs would share a file where case or normal forms do not count"
    for path, (_, _, film) in zip(published, work, strict=True):
        assert path.parent == output
        assert path.read_bytes() == film
        assert _is_portable(path.name), path.name
    return "published" if _accepted(folder, identifiers) else "published, but no manifest takes them"


def _different(names: Iterator[str], count: int) -> list[str]:
    """The first so many, each once: a batch has no id twice."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[next(names)] = None
    return list(found)


def _publish(videos: VideoFolder, identifier: str, film: bytes) -> Path:
    async def written(part: Path) -> None:
        async with open_part(part, None) as file:
            await file.add(film)
            await file.make_durable()

    name = videos.name_for(identifier, 1, 1)
    part = videos.part_for(name)
    anyio.run(written, part)
    return videos.publish(part, name)


def _accepted(folder: Path, identifiers: list[str]) -> bool:
    """Whether a manifest may have these ids at all; others come from elsewhere, as from a state edited by hand."""
    lines = "".join(f"{_quoted(name)},x\n" for name in dict.fromkeys(identifiers))
    (folder / "shots.csv").write_bytes(f"id,prompt\n{lines}".encode("utf-8", "surrogatepass"))
    try:
        load(folder / "shots.csv")
    except ManifestInvalid:
        return False
    return True


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _tree(folder: Path) -> TREES:
    """Everything below a folder, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            what = f"link to {path.readlink()}"
        elif path.is_dir():
            what = "folder"
        elif path.is_file():
            what = f"file {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode:o}"
        else:
            what = f"something else {path.stat().st_mode:o}"
        found[str(path.relative_to(folder))] = what
    return found


def _is_portable(name: str) -> bool:
    """Whether every usual file system takes a name, and no shell, viewer or terminal reads something else in it."""
    stem = name.partition(".")[0].rstrip().lower()
    device = stem in ("con", "prn", "aux", "nul", "conin$", "conout$") or (
        stem[:3] in ("com", "lpt") and stem[3:] in tuple("0123456789¹²³")
    )
    plain = all(c not in '<>:"/\\|?*' and unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
    return not device and plain and name[0] not in ".-~ " and name[-1] not in ". " and len(name.encode()) <= 255


# Names ----------------------------------------------------------------------------------------------------------------

_STEMS = (
    *("lamp", "Lamp", "LAMP", "lamp-1", "lamp-2", "lamp.mp4", "lamp.mp4.part", "lamp.part", "é", "ﬁlm", "straße"),
    *("STRASSE", "İ", "ı", "ſ", "K", "Å", "가", "👩‍👩‍👧‍👦", "🇩🇪", "ａ", "а", "α", "ⅷ"),
    *(
        "shots.state.json",
        "shots.state.json.lock",
        "shots.state.json.journal",
        "shots.yaml",
        ".batchgen-x",
        "report.html",
    ),
    *("con", "NUL.mp4", "aux.", "com1", "LPT¹", "conin$", "prn .txt", "..", ".", "...", "", " ", "-rf", "~", "~root"),
    *("/etc/passwd", "../x", "..\\x", "C:\\x", "C:x", "\\\\host\\share\\x", "//host/x", "a/../../b", "file:///x"),
    *("a\0b", "a\nb", "a\rb", "a\tb", "\x1b[2J", "\u202eexe.4pm", "a\u200bb", "\ud800", "\ue000", "\u0378", "a\u0301"),
    *("%2e%2e%2fx", "$(id)", "`id`", "a;b", "a|b", "a*b", 'a"b', "a'b", "<x>", "a?b", "a:b", "filename*=UTF-8''x"),
    *("precious", "../precious", "videos", "x" * 300, "é" * 200, "👩‍👩‍👧‍👦" * 40, "x" * 240 + ".mp4", "x" * 250),
)
_DECORATED = (
    lambda name: name,
    lambda name: f"../{name}",
    lambda name: f"/{name}",
    lambda name: f"{name}.",
    lambda name: f"{name} ",
    lambda name: f" {name}",
    lambda name: f"{name}.mp4",
    lambda name: f"{name}/",
    lambda name: name.upper(),
    lambda name: name.swapcase(),
    lambda name: unicodedata.normalize("NFC", name),
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: unicodedata.normalize("NFKC", name),
    lambda name: name.replace("/", "_"),
    lambda name: name + "\u200d",
    lambda name: name * 3,
)


def _names(rng: random.Random) -> Iterator[str]:
    """Names that go together: each comes with others that mending, case or normal forms could make of it."""
    while True:
        stem = rng.choice(_STEMS) if rng.random() < 0.8 else rng.choice(_STEMS) + rng.choice(_STEMS)
        if rng.random() < 0.1:
            stem = "".join(chr(rng.choice((rng.randrange(0x250), rng.randrange(0x110000)))) for _ in range(8))
        for _ in range(rng.randint(1, 4)):
            yield rng.choice(_DECORATED)(stem)


# What stands in the way -------------------------------------------------------------------------------------------


def _traps(rng: random.Random, output: Path, identifiers: list[str]) -> None:
    """Puts something under some of the names that will be wanted, in each of the ways in which a name can be taken."""
    ways = (_file, _file, _link, _dangling, _folder, _pipe, _hard_link, _read_only, _linked_folder)
    namer = VideoFolder(output)
    for identifier in rng.sample(identifiers, rng.randint(1, len(identifiers))):
        name = namer.name_for(identifier, 1, 1)
        path = output / rng.choice((name, name, f"{name}.part", f"{name.removesuffix('.mp4')}-2.mp4"))
        if len(path.name.encode()) <= 255 and not os.path.lexists(path):
            rng.choice(ways)(path)


def _file(path: Path) -> None:
    path.write_bytes(b"somebody else's")


def _link(path: Path) -> None:
    path.symlink_to("../precious")


def _dangling(path: Path) -> None:
    path.symlink_to("../not-there")


def _folder(path: Path) -> None:
    path.mkdir()


def _linked_folder(path: Path) -> None:
    path.symlink_to("..", target_is_directory=True)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _hard_link(path: Path) -> None:
    path.hardlink_to(path.parent.parent / "precious")


def _read_only(path: Path) -> None:
    path.write_bytes(b"read only")
    path.chmod(0o400)
