"""Ten thousand broken and hostile manifests: each is read, or refused in words, soon and in little memory."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from batchgen.errors import ManifestInvalid, UsageProblem
from batchgen.manifest import LoadOptions, load
from batchgen.manifest.loading import READERS
from tests.soak.figures import Figures, Order
from tests.soak.fuzz import assert_harmless, broken_bytes, cases, command

FULL = 10_000
LARGE = 20_000  # bytes: what the commands make of more is the same, only longer
MOST_PRINTED = 200_000
GOOD_FOLDER = Path(__file__).parents[2] / "manifests"

YAML = """\
model: bytedance/seedance-1.5-pro
defaults: &base {resolution: 480p, duration: 4, aspect_ratio: 16:9}
output: {dir: videos}
settings: {concurrency: 4, max_cost: 2.50, rate_limit: 20/10, run_timeout: 30m}
x-shared: &shared {generate_audio: yes}
runs:
  - {id: lamp, prompt: "A lamp \\u2014 on a desk", <<: *shared}
  - id: sea
    prompt: >
      The sea,
      at night
    image_urls: [https://a.example/x.png, 'https://a.example/y.png']
  - model: kling/kling-3.0
    input: {prompt: 'It''s a tower', duration: 5, mode: std, resolution: null}
  - Just a prompt
"""
CSV = '''\
id,prompt,resolution,duration,generate_audio,image_urls
lamp,"A lamp, lit",480p,4,yes,
sea,"Sea ""s""",720p,8,no,
'''
LINES = '{"id": "lamp", "prompt": "A lamp", "duration": 4}\n"Just a prompt"\n{"input": {"prompt": "The sea \\u2014"}}\n'
TEXT = "A lamp on a desk\n\nThe sea at night\n# one more\n"
GOOD: Mapping[str, str] = {"yaml": YAML, "csv": CSV, "tsv": CSV.replace(",", "\t"), "jsonl": LINES, "txt": TEXT}


def soak(order: Order) -> Figures:
    """Breaks good manifests by bytes, by words and by encoding, and builds hostile ones."""
    seen = cases(order, FULL, one)
    return Figures(f"{order.count(FULL):,} broken or hostile manifests", f"0 tracebacks: {seen.words}")


def one(rng: random.Random, folder: Path) -> str:
    """One manifest, read as the commands read it; every tenth by the commands themselves as well."""
    kind = rng.choice([suffix.removeprefix(".") for suffix in READERS])
    family = {"yml": "yaml", "ndjson": "jsonl"}.get(kind, kind)
    way = rng.choices((_bytes, _words, _encoded, _large, _no_file), (28, 45, 12, 12, 3))[0]
    path = folder / f"{rng.choice(_FILE_NAMES)}.{kind}"
    way(rng, path, family)
    ending = _loaded(path, LoadOptions(unvalidated=rng.random() < 0.3))
    if rng.random() < 0.1 and (not path.is_file() or path.stat().st_size < LARGE):
        for word, *more in (("validate",), ("validate", "--json"), ("plan",), ("plan", "--json"), ("status",)):
            each = command(word, *more, "--", str(path))
            assert each.code in (0, 2), (each.code, each.err)
            assert_harmless(each.out, each.err)
            assert len(each.err) < MOST_PRINTED
    return ending


def _loaded(path: Path, options: LoadOptions) -> str:
    try:
        runs = load(path, options).runs
    except ManifestInvalid as invalid:
        for problem in invalid.problems[:1000]:
            assert problem.place.line >= 1
            assert len(problem.message) < 2000
            assert problem.message.replace(str(path), "").isprintable()
        return "refused"
    except UsageProblem:
        return "unreadable"
    assert len({run.id for run in runs}) == len(runs) >= 1
    return "read"


_FILE_NAMES = ("shots", "shots", "shots", "a b", "-x", "\x1b[2Jx", "new\nline", "\u202egnp", "é", "%s{0}", "x" * 200)


# The ways in which it is broken --------------------------------------------------------------------------------------


def _bytes(rng: random.Random, path: Path, family: str) -> None:
    """Damaged bytes of a good manifest, or bytes without any sense."""
    data = GOOD[family].encode()
    path.write_bytes(rng.randbytes(rng.choice((1, 50, 5000))) if rng.random() < 0.1 else broken_bytes(rng, data, 6))


def _words(rng: random.Random, path: Path, family: str) -> None:
    """A good manifest in which words were put, lines moved and values replaced by those that mean something else."""
    text = _good(rng, path, family)
    for _ in range(rng.randint(1, 6)):
        change = rng.randrange(5)
        lines = text.split("\n")
        at = rng.randrange(len(text) + 1)
        if change == 0:
            text = text[:at] + rng.choice(_TOKENS) + text[at:]
        elif change == 1:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            text = "\n".join(lines)
        elif change == 2:
            rng.shuffle(lines)
            text = "\n".join(lines)
        elif change == 3:
            old = rng.choice(_KNOWN)
            text = text.replace(old, rng.choice(_TOKENS), rng.choice((1, -1)))
        else:
            number = rng.randrange(len(lines))
            lines[number] = rng.choice(_LINES[family])
            text = "\n".join(lines)
    path.write_bytes(text.replace("\n", rng.choice(_NEWLINES)).encode("utf-8", "surrogatepass"))


def _good(rng: random.Random, path: Path, family: str) -> str:
    own = [file for file in sorted(GOOD_FOLDER.iterdir()) if file.suffix == path.suffix]
    return rng.choice(own).read_text("utf-8") if own and rng.random() < 0.3 else GOOD[family]


_NEWLINES = ("\n", "\n", "\n", "\r\n", "\r", "\n\r", "\x85", "\u2028", "\n\n")
_KNOWN = (
    "prompt",
    "lamp",
    "sea",
    "4",
    "480p",
    ":",
    ",",
    "\t",
    '"',
    "- ",
    "{",
    "}",
    "runs",
    "id",
    "\n",
    "kling/kling-3.0",
)
_TOKENS = (
    *("- ", ": ", "\n", "  ", "\t", "[", "]", "{", "}", ",", ";", "|", '"', "'", "''", '""', "#", "&a ", "*a", "*base"),
    *("<<: ", "<<: *base", "<<: [*base, *shared]", "? ", "---\n", "...\n", "%YAML 1.1\n", "%TAG ! x\n", ">-\n", "|\n"),
    *(
        "!!python/object/apply:os.system ['id']",
        "!!binary aGk=",
        "!!timestamp 2026-01-01",
        "!!set {a}",
        "!x ",
        "!!int ",
    ),
    *("2026-01-01", "1e999", "-1e999", ".inf", ".nan", "NaN", "Infinity", "0x7f", "0o17", "1_000", "12:30:45", "~"),
    *("9" * 400, "9" * 5000, "-" + "9" * 400, "0." + "0" * 400 + "1", "1e-400", "null", "true", "no", "{}", "[]"),
    *("\x00", "\x1b[31m", "\x9b2J", "\x07", "\u202e", "\u2066", "\ud800", "\ufeff", "\u2028", "\x85", "\r", "\ufffe"),
    *(
        "\\u001b[2J",
        "\\x1b",
        "\\ud800",
        "\\u0000",
        "\\",
        "\\q",
        "=cmd|' /C calc'!A0",
        "../../x",
        "con",
        "é",
        "👩‍👩‍👧‍👦",
    ),
    *(
        "sep=;\n",
        "x" * 3000,
        "[" * 60,
        "{a: " * 60,
        "https://user:pw@a.example/x?y#z",
        "id: lamp",
        "id,id",
        "prompt,prompt",
    ),
    *("api_key: sk-0123456789abcdef0123", "{{ name }}", "{0.__class__}", "%s", "$HOME", "`id`"),
)
_LINES: Mapping[str, tuple[str, ...]] = {
    "yaml": (
        "  - &r [*r]",
        "  - {<<: *r}",
        "runs: &runs [*runs]",
        "  - ? [a]\n    : b",
        "defaults: 3",
        "  -",
        "  - [x]",
    ),
    "csv": (",,,,,", '"', 'a"b,"c"d', "sep=|", ",".join("x" * 50), "lamp,x,480p,4,maybe,[", "\ufeffid,prompt"),
    "tsv": ("\t\t\t", '"', "\tx\t", "id\tid\tprompt"),
    "jsonl": ('{"a": 1, "a": 2}', "[1]", "null", "{", '{"prompt": "\\ud800"}', '{"id": 1e999}', '{"prompt": NaN}', "1"),
    "txt": ("", " ", "\ufeff", "\u2028", "x" * 5000),
}


def _encoded(rng: random.Random, path: Path, family: str) -> None:
    """A good manifest in another encoding, or in two at once."""
    text = GOOD[family] + "é € 猫"
    encoding = rng.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "latin-1", "cp1252"))
    data = text.encode(encoding, "replace")
    other = rng.choice((b"", b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5"))
    path.write_bytes(other + data if rng.random() < 0.5 else data + other)


def _large(rng: random.Random, path: Path, family: str) -> None:
    """A manifest that is small for whoever writes it and large for whoever reads it."""
    size = rng.choice((100, 1000, 10_000, 100_000))
    makers = [*_BOMBS[family], *_BOMBS["any"]]
    path.write_bytes(rng.choice(makers)(size).encode("utf-8", "surrogatepass"))


def _aliases(size: int) -> str:
    levels = max(2, len(str(size)) * 2)
    lines = ["x-0: &a0 [x]"] + [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"runs: [{{prompt: x, image_urls: *a{levels - 1}}}]"])


def _merges(size: int) -> str:
    levels = max(2, len(str(size)) * 2)
    lines = ["x-0: &a0 {k: v}"]
    lines += [
        f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], {', '.join(f'k{n}{m}: *a{n - 1}' for m in range(9))}}}"
        for n in range(1, levels)
    ]
    return "\n".join([*lines, f"runs: [{{prompt: x, <<: *a{levels - 1}}}]"])


Maker = Callable[[int], str]
_BOMBS: Mapping[str, tuple[Maker, ...]] = {
    "any": (
        lambda n: "x" * (n * 100),
        lambda n: "\n" * n,
        lambda n: "," * n,
        lambda n: "\t" * n,
        lambda n: '"' * n,
        lambda n: "[" * n,
        lambda n: "{" * n,
        lambda n: "- " * n,
        lambda n: "\\" * n,
        lambda n: "prompt\n" + "x\n" * n,
        lambda n: "id,prompt\n" + "a,b\n" * n,
    ),
    "yaml": (
        _aliases,
        _merges,
        lambda n: "- {" + ", ".join(f"k{m}: 1" for m in range(n)) + "}",
        lambda n: "- {prompt: x, " + ", ".join(["k: 1"] * n) + "}",
        lambda n: "- {" + ", ".join(f"k{m}: 1" for m in range(n)) * 2 + "}",
        lambda n: "- {" + ", ".join(f"k{m}: 1, k{m}: 1" for m in range(n)) + "}",
        lambda n: "".join(f"- {{prompt: x, duration: {m}s}}\n" for m in range(n)),
        lambda n: "- {id: a, prompt: x}\n" * n,
        lambda n: "".join(f"- &a{m} x\n" for m in range(n)),
        lambda n: "- {prompt: x, image_urls: [" + ", ".join(["http://x"] * n) + "]}",
        lambda n: '- "' + "\\u0041" * n + '"',
        lambda n: "".join(" " * m + "a:\n" for m in range(min(n, 2000))),
        lambda n: "#" * n + "\n- x",
        lambda n: "- !" + "x" * n + " y",
        lambda n: "- &" + "x" * n + " y\n- *" + "x" * n,
        lambda n: "- *" + "x" * n,
        lambda n: "x-a: &a {" + ", ".join(f"k{m}: 1" for m in range(n)) + "}\nruns:\n" + "- {prompt: x, <<: *a}\n" * 20,
        lambda n: "settings: {" + ", ".join(f"s{m}: 1" for m in range(n)) + "}\nruns: [x]",
        lambda n: "".join(f"k{m}: 1\n" for m in range(n)) + "runs: [x]",
        lambda n: "- {model: " + "m" * n + ", prompt: x}",
    ),
    "csv": (
        lambda n: ",".join(f"c{m}" for m in range(n)) + "\n1",
        lambda n: "prompt\n" + '"' + "x\n" * n,
        lambda n: "prompt,duration\n" + "x,5\n" * n,
        lambda n: "prompt,prompt" + ",prompt" * n,
        lambda n: "prompt,image_urls\n" + 'x,"' + "[" * n + '"',
        lambda n: "prompt,image_urls\n" + "x," + "http://x|" * n,
        lambda n: "prompt\n" + "x" + ",y" * n,
        lambda n: "prompt,model\n" + "".join(f"x,m{m}\n" for m in range(n)),
        lambda n: "id,prompt\n" + "".join(f"{'i' * 300}{m},x\n" for m in range(n // 10)),
    ),
    "tsv": (lambda n: "prompt\t" * n, lambda n: "prompt\tduration\n" + "x\t5\n" * n),
    "jsonl": (
        lambda n: '{"prompt": ' * n,
        lambda n: "{" + ", ".join(['"a": 1'] * n) + "}",
        lambda n: '{"prompt": "x", "duration": ' + "9" * n + "}",
        lambda n: '{"a": 1}\n' * n,
        lambda n: "]\n" * n,
        lambda n: '{"prompt": "' + "\\u0041" * n + '"}',
        lambda n: '{"prompt": "x", "image_urls": [' + "[],".join([""] * n) + "[]]}",
    ),
    "txt": (lambda n: "A prompt\n" * n, lambda n: "\ud800" * n),
}


def _no_file(rng: random.Random, path: Path, family: str) -> None:
    """Something under the name that is no file of text, or is no longer there."""
    change = rng.randrange(8)
    if change == 0:
        path.mkdir()
    elif change == 1:
        os.mkfifo(path)
    elif change == 2:
        path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/null", "/proc/self/mem", "/proc/kmsg", "/")))
    elif change == 3:
        path.symlink_to(path.name)
    elif change == 4:
        path.write_bytes(b"")
    elif change == 5:
        with path.open("wb") as sparse:
            sparse.truncate(rng.choice((1 << 20, 1 << 30, 1 << 40)))
    elif change == 6:
        (path.parent / f"{path.stem}2{path.suffix}").write_text(GOOD[family], encoding="utf-8")
