"""No file, however broken or hostile, does worse than a problem in words, soon and in little memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchgen.errors import ManifestInvalid
from batchgen.manifest import LoadOptions, load
from batchgen.manifest.loading import READERS
from batchgen.records import Problem
from tests.manifest.helpers import problems

KINDS = [suffix.removeprefix(".") for suffix in READERS]

FRAGMENTS = [
    *("- ", "prompt", ": ", "duration", "8", "runs:\n", "\n", "  ", "\t", "[", "]", "{", "}", ",", ";", "|", '"', "'"),
    *("&a ", "*a", "<<: ", "!!int ", "!x ", "? ", "#", "---\n", "...\n", "%YAML 1.1\n", ">", "\\", "\\u0000", "null"),
    *(
        "id",
        "model",
        "input",
        "defaults",
        "settings",
        "output",
        "image_urls",
        "16:9",
        "é",
        "🐈",
        "\u2028",
        "\x85",
        "\r",
    ),
    *("1e999", "-", "@", "`", "NaN", "hailuo/pro", "https://a.example/x", "\ufeff", "\x00", "\x1b", "true", "dir"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
BYTES = st.one_of(st.binary(max_size=200), TEXTS.map(str.encode), st.text(max_size=100).map(str.encode))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), data=BYTES, unvalidated=st.booleans())
@example(kind="yaml", data=b"- &a [*a]", unvalidated=False)
@example(kind="yaml", data=b"? {a: 1}\n: b", unvalidated=False)
@example(kind="yaml", data=b"defaults: [\nruns: x", unvalidated=False)
@example(kind="yaml", data="- \ufffe".encode(), unvalidated=False)
@example(kind="csv", data=b'"', unvalidated=False)
@example(kind="csv", data=b"\n\n;;;", unvalidated=True)
def test_nothing_but_problems_comes_of_any_bytes(tmp_path: Path, kind: str, data: bytes, unvalidated: bool) -> None:
    path = tmp_path / f"f.{kind}"
    path.write_bytes(data)
    found, names = outcome(path, LoadOptions(unvalidated=unvalidated))
    assert found or len(set(names)) == len(names) >= 1
    for problem in found:
        assert problem.place.line >= 1
        assert str(problem).isprintable()
        assert str(problem).encode()


def outcome(path: Path, options: LoadOptions) -> tuple[Sequence[Problem], list[str]]:
    """The problems of a manifest, or the ids of its runs."""
    try:
        return (), [run.id for run in load(path, options).runs]
    except ManifestInvalid as error:
        return error.problems, []


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merge_bomb(levels: int, width: int) -> str:
    lines = ["x-0: &a0 {k: v}"]
    for level in range(1, levels):
        members = ", ".join(f"k{n}: *a{level - 1}" for n in range(width))
        lines.append(f"x-{level}: &a{level} {{{members}}}")
    return "\n".join([*lines, f"runs: [{{prompt: x, <<: *a{levels - 1}}}]"])


HOSTILE = {
    "aliases": ("yaml", bomb(9, 9), "make too much of this file"),
    "aliases within the list of runs": ("yaml", "- &a [x, x, x]\n" + "- &b [*a, *a, *a, *a]\n" * 50_000, ""),
    "merge keys": ("yaml", merge_bomb(9, 9), "make too much of this file"),
    "flow nesting": ("yaml", "[" * 100_000, "nested more than 50 deep"),
    "block nesting": ("yaml", "".join(" " * n + "-\n" for n in range(400)), "nested more than 50 deep"),
    "key nesting": ("yaml", "? " * 50_000, "nested more than 50 deep"),
    "JSON nesting": ("jsonl", '{"prompt": ' * 50_000, "nested more than 50 deep"),
    "nesting in a cell": ("csv", 'prompt,image_urls\nx,"' + "[" * 100_000 + '"', "image_urls must be a list"),
    "a long line": ("yaml", "- prompt: " + "x" * 5_000_000 + "\n  duration: 5", "duration must be one of"),
    "a long key": ("yaml", "- ? " + "x" * 2_000_000 + "\n  : y", "takes no parameter"),
    "many keys": ("yaml", "- {" + ", ".join(f"k{n}: 1" for n in range(5000)) + "}", "takes no parameter"),
    "many keys, each twice": (
        "yaml",
        "- {" + ", ".join(f"k{n}: 1, k{n}: 1" for n in range(50_000)) + "}",
        "the rest was not read",
    ),
    "many unknown keys at the root": ("yaml", "".join(f"k{n}: 1\n" for n in range(50_000)), "unknown key"),
    "many keys merged into several runs": (
        "yaml",
        "x-a: &a {" + ", ".join(f"k{n}: 1" for n in range(50_000)) + "}\nruns:\n" + "- {prompt: x, <<: *a}\n" * 20,
        "takes no such number",
    ),
    "a mistake of its own in each of many rows": (
        "csv",
        "prompt,duration\n" + "".join(f"x,{n}s\n" for n in range(20_000)),
        "from here on nothing was checked",
    ),
    "many columns": ("csv", ",".join(f"c{n}" for n in range(20_000)) + "\n1", "the first row must name"),
    "digits": ("yaml", "- {model: kling/kling-3.0, prompt: x, duration: " + "9" * 100_000 + "}", "must be a number"),
    "digits, signed and with a point": ("csv", "prompt,duration\nx,-" + "1" * 50_000 + ".5", "must be one of"),
    "open quote": ("yaml", '- "' + "x\n " * 300_000, "never closed"),
    "open bracket": ("yaml", "- [" + "x, " * 100_000, "not closed"),
    "anchors": ("yaml", "".join(f"- &a{n} x\n" for n in range(30_000)) + "- {bad: 1}", "takes no parameter"),
    "a long alias": ("yaml", "- *" + "x" * 100_000, "refers to nothing"),
    "an unfinished escape": ("yaml", '- "\\u', "not valid YAML"),
    "terminal codes in JSON": ("jsonl", '{"\\u001b[31mred": 1, "prompt": "x"}', "cannot hold the character U+001B"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(tmp_path: Path, name: str) -> None:
    kind, text, expected = HOSTILE[name]
    found = problems(tmp_path, kind, text)
    assert any(expected in problem for problem in found), found[:3]
    assert max(map(len, found)) < 400


def test_every_hostile_file_ends_within_a_bound_of_memory(tmp_path: Path) -> None:
    """The bound is set by the operating system on a process of its own: past it, that process would fail."""
    for number, (kind, text, _) in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.{kind}").write_text(text, encoding="utf-8")
    code = (
        "import resource, pathlib\n"
        "from batchgen.manifest import load\n"
        "from batchgen.errors import ManifestInvalid\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (200 << 20, 200 << 20))\n"
        f"for path in sorted(pathlib.Path({str(tmp_path)!r}).iterdir()):\n"
        "    try: load(path)\n"
        "    except ManifestInvalid: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["refused"] * len(HOSTILE), done.stderr[-2000:]


def test_a_hundred_thousand_honest_merges_pass(tmp_path: Path) -> None:
    """The cap on aliases grows with the file, so that it stops bombs and not batches."""
    base = "x-base: &base {aspect_ratio: 16:9, resolution: 480p, duration: 4, generate_audio: no}\nruns:\n"
    path = tmp_path / "f.yaml"
    path.write_text(base + "- {<<: *base, prompt: x}\n" * 20_000, encoding="utf-8")
    assert len(load(path).runs) == 20_000
