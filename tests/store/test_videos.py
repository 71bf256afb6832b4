"""Names are safe and never shared; publishing never writes over anything."""

from __future__ import annotations

import errno
import os
import re
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import UsageProblem
from batchgen.store.videos import VideoFolder, safe_stem
from tests.store.disk import Cut, Disk

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}


@pytest.fixture
def folder(tmp_path: Path) -> VideoFolder:
    videos = VideoFolder(tmp_path / "videos")
    videos.prepare()
    return videos


def put(folder: VideoFolder, name: str, data: bytes) -> Path:
    part = folder.part_for(name)
    part.write_bytes(data)
    return folder.publish(part, name)


# Names ----------------------------------------------------------------------------------------------------------------


def test_one_video_has_the_plain_name_and_several_are_numbered() -> None:
    videos = VideoFolder(Path("v"))
    assert videos.name_for("lamp", 1, 1) == "lamp.mp4"
    assert [videos.name_for("lamp", n, 2) for n in (1, 2)] == ["lamp-1.mp4", "lamp-2.mp4"]


@pytest.mark.parametrize(
    "identifier", ["lamp", "Scene-12", "a b", "v1.2", "été", "灯", "run_01HXYZ", "100%", "a'b", "🎬"]
)
def test_a_safe_identifier_is_its_own_name(identifier: str) -> None:
    assert safe_stem(identifier) == identifier


UNSAFE = [
    "",
    ".",
    "..",
    "a/b",
    "../../etc/passwd",
    "a\\b",
    "C:x",
    "nul",
    "NUL.txt",
    "com1",
    "LPT¹",
    "con ",
    "lamp.",
    "lamp ",
]
UNSAFE += [
    "-rf",
    ".hidden",
    "~lamp",
    " lamp",
    "a\nb",
    "a\x00b",
    "a\u202eb",
    "\ud800",
    "e\u0301te\u0301",
    "x" * 300,
    "灯" * 200,
]


@pytest.mark.parametrize("identifier", UNSAFE)
def test_an_unsafe_identifier_is_mended_and_gets_a_hash(identifier: str) -> None:
    assert safe_stem(identifier) != identifier
    assert safe_stem(identifier)[-9] == "-"
    assert int(safe_stem(identifier)[-8:], 16) >= 0


def test_unsafe_identifiers_that_are_mended_alike_keep_different_names() -> None:
    assert len({safe_stem(identifier) for identifier in ("a/b", "a:b", "a?b", "a\nb")}) == 4


@given(st.text(max_size=400), st.integers(1, 12), st.integers(1, 12))
def test_any_identifier_gives_a_name_that_every_file_system_takes(identifier: str, one: int, other: int) -> None:
    name = VideoFolder(Path("v")).name_for(identifier, min(one, other), max(one, other))
    assert name.endswith(".mp4")
    assert len(VideoFolder(Path("v")).part_for(name).name.encode()) <= 255
    assert name[0] not in ".-~ "
    assert name == unicodedata.normalize("NFC", name)
    assert not set(name) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
    assert name.split(".")[0].rstrip().casefold() not in RESERVED


@given(
    st.lists(st.tuples(st.sampled_from(["lamp", "Lamp", "LAMP", "lamp-1", "ß", "SS", "a/b", "a:b"]), st.integers(1, 2)))
)
def test_no_two_videos_share_a_name_even_where_case_counts_for_nothing(wanted: list[tuple[str, int]]) -> None:
    videos = VideoFolder(Path("v"))
    owners: dict[str, tuple[str, int, int]] = {}
    for identifier, count in wanted:
        for index in range(1, count + 1):
            name = videos.name_for(identifier, index, count)
            assert owners.setdefault(name.casefold(), (identifier, index, count)) == (identifier, index, count)
            assert videos.name_for(identifier, index, count) == name


@pytest.mark.parametrize(("index", "count"), [(0, 1), (2, 1), (1, 0), (-1, 3)])
def test_an_index_outside_of_the_count_is_a_mistake(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="no video"):
        VideoFolder(Path("v")).name_for("lamp", index, count)


def test_the_part_lies_beside_the_video(tmp_path: Path) -> None:
    part = VideoFolder(tmp_path).part_for("lamp.mp4")
    assert part.parent == tmp_path
    assert re.fullmatch(r"lamp\.mp4\.[0-9a-f]{8}\.part", part.name)


def test_a_part_is_one_batchs_own(tmp_path: Path) -> None:
    """Two batches in one folder with runs of the same id: neither publishes the other's half of a video."""
    one, same, other = (VideoFolder(tmp_path, owner).part_for("lamp.mp4") for owner in ("a", "a", "b"))
    assert one == same != other


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.mp4", "../lamp.mp4", "/etc/passwd", "a\\b.mp4", "a\0.mp4"])
def test_a_name_with_a_way_out_of_the_folder_is_a_mistake(folder: VideoFolder, name: str) -> None:
    part = folder.part_for("lamp.mp4")
    part.write_bytes(b"film")
    with pytest.raises(ValueError, match="no file name"):
        folder.part_for(name)
    with pytest.raises(ValueError, match="no file name"):
        folder.publish(part, name)


# Publishing -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["hard links", "no hard links"])
def linking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as it is, and once on a file system such as exFAT, which knows no hard links."""
    if request.param == "no hard links":

        def refuse(*_arguments: object, **_options: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("linking")
def test_a_published_part_has_its_name_and_no_other(folder: VideoFolder, tmp_path: Path) -> None:
    path = put(folder, "lamp.mp4", b"film")
    assert path == tmp_path / "videos" / "lamp.mp4"
    assert path.read_bytes() == b"film"
    assert [p.name for p in path.parent.iterdir()] == ["lamp.mp4"]
    assert path.stat().st_nlink == 1


@pytest.mark.usefixtures("linking")
def test_the_same_bytes_again_are_the_same_file(folder: VideoFolder) -> None:
    first = put(folder, "lamp.mp4", b"film")
    inode = first.stat().st_ino
    assert put(folder, "lamp.mp4", b"film") == first
    assert [p.name for p in first.parent.iterdir()] == ["lamp.mp4"]
    assert first.stat().st_ino == inode


@pytest.mark.usefixtures("linking")
def test_other_bytes_stay_and_the_new_video_takes_the_next_number(folder: VideoFolder) -> None:
    names = [put(folder, "lamp.mp4", data).name for data in (b"one.", b"two.", b"three", b"two.")]
    assert names == ["lamp.mp4", "lamp-2.mp4", "lamp-3.mp4", "lamp-2.mp4"]
    kept = {p.name: p.read_bytes() for p in folder.part_for("x").parent.iterdir()}
    assert kept == {"lamp.mp4": b"one.", "lamp-2.mp4": b"two.", "lamp-3.mp4": b"three"}


@pytest.mark.usefixtures("linking")
@pytest.mark.parametrize("target", ["precious", "missing"])
def test_a_symlink_in_the_way_is_neither_followed_nor_replaced(
    folder: VideoFolder, tmp_path: Path, target: str
) -> None:
    (tmp_path / "precious").write_bytes(b"film")
    link = tmp_path / "videos" / "lamp.mp4"
    link.symlink_to(tmp_path / target)
    assert put(folder, "lamp.mp4", b"film").name == "lamp-2.mp4"
    assert link.is_symlink()
    assert not (tmp_path / "missing").exists()
    assert (tmp_path / "precious").read_bytes() == b"film"


@pytest.mark.usefixtures("linking")
def test_a_folder_in_the_way_is_passed_by(folder: VideoFolder, tmp_path: Path) -> None:
    (tmp_path / "videos" / "lamp.mp4").mkdir()
    assert put(folder, "lamp.mp4", b"film").name == "lamp-2.mp4"


def test_a_part_that_is_already_linked_to_its_name_is_published(folder: VideoFolder) -> None:
    """A crash between link and unlink leaves both names."""
    part, name = folder.part_for("lamp.mp4"), folder.part_for("x").parent / "lamp.mp4"
    part.write_bytes(b"film")
    name.hardlink_to(part)
    assert folder.publish(part, "lamp.mp4") == name
    assert not part.exists()


@pytest.mark.usefixtures("linking")
def test_publishing_at_once_under_one_name_loses_nothing(folder: VideoFolder) -> None:
    parts = [folder.part_for(f"{n}.mp4") for n in range(16)]
    for n, part in enumerate(parts):
        part.write_bytes(b"film %d" % n)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda part: folder.publish(part, "lamp.mp4"), parts))
    assert [path.read_bytes() for path in paths] == [b"film %d" % n for n in range(16)]
    assert len(set(paths)) == 16


def test_names_asked_for_at_once_are_not_shared() -> None:
    videos = VideoFolder(Path("v"))
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda identifier: videos.name_for(identifier, 1, 1), ["a", "A"] * 200))
    assert len(set(names[::2])) == len(set(names[1::2])) == 1
    assert len({name.casefold() for name in names}) == 2


def test_a_part_that_is_no_file_or_lies_elsewhere_is_a_mistake(folder: VideoFolder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no file in"):
        folder.publish(folder.part_for("lamp.mp4"), "lamp.mp4")
    (tmp_path / "lamp.mp4.part").write_bytes(b"film")
    with pytest.raises(ValueError, match="is no file in"):
        folder.publish(tmp_path / "lamp.mp4.part", "lamp.mp4")
    folder.part_for("lamp.mp4").symlink_to(tmp_path / "lamp.mp4.part")
    with pytest.raises(ValueError, match="is no file in"):
        folder.publish(folder.part_for("lamp.mp4"), "lamp.mp4")


def test_the_folder_is_made_durable_after_the_name_is_there(
    folder: VideoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    really_sync = os.fsync

    def watch(descriptor: int) -> None:
        seen.append(sorted(p.name for p in Path(f"/proc/self/fd/{descriptor}").iterdir()))
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    put(folder, "lamp.mp4", b"film")
    assert seen == [["lamp.mp4"]]


def test_a_video_that_is_there_already_is_made_durable_before_it_counts(tmp_path: Path) -> None:
    """Nobody knows whether whoever put it there has done so: a power cut behind it must not take it away."""
    disk = Disk(tmp_path, lambda _call: None)
    with disk.under():
        videos = VideoFolder(tmp_path / "videos")
        videos.prepare()
        for path in (tmp_path / "videos" / "lamp.mp4", videos.part_for("lamp.mp4")):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT)
            os.write(fd, b"video")
            os.close(fd)
        assert videos.publish(videos.part_for("lamp.mp4"), "lamp.mp4").name == "lamp.mp4"
    left = disk.after(Cut(), tmp_path.parent / f"{tmp_path.name}-after")
    assert (left / "videos" / "lamp.mp4").read_bytes() == b"video"


def test_a_refused_link_is_raised_and_the_part_stays(folder: VideoFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="Read-only"):
        put(folder, "lamp.mp4", b"film")
    assert folder.part_for("lamp.mp4").read_bytes() == b"film"


def test_a_rename_that_fails_leaves_no_empty_file_behind(folder: VideoFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links the name is reserved by an empty file first."""

    def no_links(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def no_rename(*_arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", no_rename)
    with pytest.raises(OSError, match="Input/output"):
        put(folder, "lamp.mp4", b"film")
    assert [p.name for p in folder.part_for("x").parent.iterdir()] == [folder.part_for("lamp.mp4").name]


# Preparing ------------------------------------------------------------------------------------------------------------


def test_prepare_makes_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    videos = VideoFolder(tmp_path / "a" / "b")
    videos.prepare()
    videos.prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_every_folder_that_is_made_is_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    VideoFolder(tmp_path / "a" / "b").prepare()
    above = (tmp_path / "a", *(tmp_path / "a").parents)  # who made those may have been killed before he synced them
    assert sorted(synced) == sorted(path.stat().st_ino for path in above)


def test_a_file_in_the_place_of_the_folder_is_a_usage_problem(tmp_path: Path) -> None:
    (tmp_path / "videos").write_bytes(b"")
    with pytest.raises(UsageProblem, match="exists and is no folder"):
        VideoFolder(tmp_path / "videos").prepare()
    with pytest.raises(UsageProblem, match="below something that is no folder"):
        VideoFolder(tmp_path / "videos" / "deeper").prepare()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "by this user"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "full disk"),
        (errno.EIO, "cannot be used"),
    ],
)
def test_a_folder_that_takes_no_file_is_a_usage_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UsageProblem, match=words) as caught:
        VideoFolder(tmp_path).prepare()
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


def test_the_probe_of_the_folder_has_no_name_that_a_kill_could_leave(tmp_path: Path) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except (OSError, AttributeError):
        pytest.skip("this file system knows no files without a name")
    seen = set[Path]()
    sys.setprofile(lambda *_: seen.update(tmp_path.iterdir()))  # at every call on the way
    try:
        VideoFolder(tmp_path).prepare()
    finally:
        sys.setprofile(None)
    assert seen == set()
