"""A canary key is looked for in everything that leaves the program, while the service says it back wherever it can."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from batchgen.cli import cli
from tests.e2e.conftest import Said, Shell
from tests.e2e.leaky import ESCAPES, SIGNATURE, Hosts, leaky_hosts
from tests.soak.fuzz import Spoken, assert_harmless, command

KEY = "sk-canary/Zq7+Xw9=LmT4vB2nR8"
SECOND = "sk-canary-second.Hj5Kd0Ps3Wy6Ug1"
PIECE = 8
PROMPTS = (
    *("good", "failed", "coded", "link", "bare", "no-json", "broken"),
    *("post-400", "post-422", "post-500", "post-503"),
)
SHOTS = "id,prompt,resolution,duration\n" + "".join(f"{name},{name},480p,4\n" for name in PROMPTS)
LOG = "log.jsonl"

# Every command that there is, and one that is still to come, as somebody uses it after such a batch.
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "init": (("init", "new.yaml"),),
    "validate": (("validate", "shots.csv"), ("validate", "shots.csv", "--json")),
    "plan": (("plan", "shots.csv"), ("plan", "shots.csv", "--json")),
    "run": (("run", "shots.csv", "--limit", "0"), ("run", "shots.csv", "--limit", "0", "--json", "-v")),
    "status": (("status", "shots.csv"), ("status", "shots.csv", "--json")),
    "resolve": (("resolve", "shots.csv"), ("resolve", "shots.csv", "--json")),
    "export": tuple(("export", "shots.csv", "--format", kind) for kind in ("csv", "json", "jsonl")),
    "report": (("report", "shots.csv"),),
    "models": (("models",), ("models", "--json")),
    "schema": (("schema",),),
    "sandbox": (("sandbox", "--list-faults"),),
}


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with leaky_hosts() as found:
        yield found


def assert_no_key(where: str, text: str, *keys: str) -> None:
    """No key, whole or in pieces of eight characters: plain, escaped as in a URL, reversed or in base64."""
    seen = [text, unquote(text), text[::-1]]
    for token in re.findall(r"[A-Za-z0-9+/_-]{11,}", unquote(text)):
        for start in range(4):
            part = token[start:].replace("-", "+").replace("_", "/")
            seen.append(base64.b64decode(part[: len(part) // 4 * 4]).decode("latin-1"))
    for key in keys or (KEY, SECOND):
        distinct = key.removeprefix("sk-canary")
        for piece in {distinct[at : at + PIECE] for at in range(len(distinct) - PIECE + 1)}:
            assert not any(piece in form for form in seen), f"{where} shows {piece} of {key}: {text[:2000]}"


def assert_nothing_leaks(shell: Shell, *said: Said | Spoken) -> None:
    """No key and no signature of a link in any file or in what was printed, nor there what a terminal obeys."""
    for one in said:
        for text in (one.out, one.err):
            assert_no_key("what was printed", text)
            assert SIGNATURE not in text
            assert_harmless(text.replace("\r\n", "\n"))  # as rows of CSV end
    for path in sorted(shell.folder.rglob("*")):
        if path.is_file():
            assert_no_key(str(path), path.read_bytes().decode("utf-8", "replace"))
            assert_no_key("a name", path.name)
            assert SIGNATURE.encode() not in path.read_bytes(), path


def rendered(shell: Shell, hosts: Hosts, *options: str, **environment: str) -> Said:
    """The hostile batch."""
    shell.write("shots.csv", SHOTS)
    keys = {"RUNBASE_API_KEY": KEY} | environment
    service = ("--base-url", hosts.base_url, "--rate-limit", "1000/1", "--log-file", LOG)
    return shell("run", "shots.csv", *service, *options, **keys)


@pytest.mark.parametrize("voice", [("-q",), (), ("-v", "--json")], ids=str)
def test_no_file_no_line_and_no_other_host_gets_the_key(shell: Shell, hosts: Hosts, voice: tuple[str, ...]) -> None:
    """At every level of talk, with two keys, under a proxy in the environment, in Python's development mode."""
    proxy = f"http://127.0.0.1:{hosts.proxy.port}"
    said = rendered(
        shell,
        hosts,
        *voice,
        RUNBASE_API_KEYS=SECOND,
        PYTHONDEVMODE="1",
        HTTP_PROXY=proxy,
        HTTPS_PROXY=proxy,
        ALL_PROXY=proxy,
    )
    assert said.code == 4, said
    runs = shell.state("shots.state.json")
    assert runs["good"]["status"] == "downloaded"
    assert {runs[name]["status"] for name in ("failed", "coded", "post-400", "post-422")} == {"failed"}
    assert {runs[name]["status"] for name in ("no-json", "broken", "post-500", "post-503")} == {"in_doubt"}
    assert KEY in "".join(hosts.service.requests)
    assert SECOND in "".join(hosts.service.requests)
    assert any("GET /v.mp4" in request for request in hosts.files.requests)
    for request in (*hosts.files.requests, *hosts.proxy.requests):
        assert_no_key("a request to another host", request)
        assert "uthorization" not in request
        assert "ookie" not in request
    assert hosts.proxy.requests == []
    assert "[key]" in (shell.folder / "shots.state.json").read_text()
    assert_nothing_leaks(shell, said)


@pytest.mark.skipif(sys.platform != "linux", reason="only there is all of 127/8 this machine")
def test_without_tls_no_proxy_is_shown_the_key(shell: Shell) -> None:
    """A service in one's own network, for which nobody has thought of NO_PROXY."""
    shell.write("shots.csv", "id,prompt\ngood,good\n")
    with leaky_hosts("127.0.0.2") as hosts:
        proxy = f"http://127.0.0.1:{hosts.proxy.port}"
        said = shell("run", "shots.csv", "--base-url", hosts.base_url, RUNBASE_API_KEY=KEY, HTTP_PROXY=proxy)
        assert said.code == 0, said
        assert hosts.proxy.requests == []


def test_no_command_shows_the_key_of_a_batch_that_heard_it(
    shell: Shell, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"RUNBASE_API_KEY": KEY, "RUNBASE_API_KEYS": SECOND, "RUNBASE_BASE_URL": hosts.base_url}
    assert rendered(shell, hosts, **keys).code == 4
    monkeypatch.chdir(shell.folder)
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    said = [command(*words) for name in cli.commands for words in COMMANDS[name]]
    assert all(one.code in (0, 4) for one in said), said
    assert_nothing_leaks(shell, *said)


def test_every_command_is_looked_at() -> None:
    """A new one must be put into the table above, in every form in which it speaks."""
    assert cli.commands.keys() <= COMMANDS.keys()
    with_json = {name for name, command in cli.commands.items() if any(p.name == "as_json" for p in command.params)}
    assert all(any("--json" in arguments for arguments in COMMANDS[name]) for name in with_json)


INJECTED = """\
import {module} as module

def broken(*arguments, **options):
    raise {error}("injected")

module.{name} = broken
"""


@pytest.mark.parametrize(
    ("module", "name", "error"),
    [
        ("batchgen.service.client", "_read", "RuntimeError"),
        ("batchgen.service.client", "_perform", "RuntimeError"),
        ("batchgen.engine.submit", "judge_post", "RuntimeError"),
        ("batchgen.store.journal", "write_all", "MemoryError"),
        ("batchgen.report.summary", "_headline", "RecursionError"),
    ],
)
def test_no_traceback_shows_the_key(shell: Shell, hosts: Hosts, module: str, name: str, error: str) -> None:
    """A mistake of the program's own, forced where the key is at hand: Python prints where, and never with what."""
    hook = shell.folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(INJECTED.format(module=module, name=name, error=error))
    shell.write("shots.csv", "prompt\ngood\npost-400\n")
    service = ("--base-url", hosts.base_url, "--rate-limit", "1000/1", "--log-file", LOG)
    environment = {"RUNBASE_API_KEY": KEY, "PYTHONPATH": str(hook), "PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"}
    process = shell.start("run", "shots.csv", *service, "-v", **environment)
    out, err = process.communicate(timeout=90)
    assert process.returncode != 0
    assert_nothing_leaks(shell, Said(process.returncode, out, err))


def test_the_key_is_in_no_argument_and_no_child(shell: Shell, hosts: Hosts) -> None:
    """Whoever may list the processes of a machine reads their arguments."""
    shell.write("shots.csv", "prompt\npost-429\n")
    service = ("--base-url", hosts.base_url, "--rate-limit", "1000/1")
    process = shell.start("run", "shots.csv", *service, RUNBASE_API_KEY=KEY)
    shell.wait_for(lambda: bool(hosts.service.requests), process)
    tasks = Path(f"/proc/{process.pid}/task")
    if tasks.exists():
        assert_no_key("the arguments", Path(f"/proc/{process.pid}/cmdline").read_text())
        assert [child for task in tasks.iterdir() for child in (task / "children").read_text().split()] == []
    process.terminate()
    process.communicate(timeout=90)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", f"settings: {{api_key: {KEY}}}\nruns: [x]\n"),
        ("a.yaml", f"settings: {{{KEY}: 1, concurrency: {KEY}}}\nruns: [x]\n"),
        ("a.yaml", f"api_key: {KEY}\nmodel: {KEY}\nruns: [x]\n"),
        ("a.yaml", f"runs: [{{prompt: x, api_key: '{KEY}', duration: '{KEY}', model: '{KEY}'}}]\n"),
        ("a.yaml", f"- prompt: x\n  {KEY}: {KEY}\n  image_urls: ['{KEY}']\n"),
        ("a.csv", f"prompt,api_key,duration\nx,{KEY},{KEY}\n"),
        ("a.csv", f"prompt,{KEY},model\nx,1,{KEY}\n"),
        ("a.jsonl", json.dumps({"prompt": "x", "api_key": KEY, KEY: 1, "resolution": KEY})),
    ],
)
def test_a_key_in_a_manifest_by_mistake_is_refused_and_not_shown(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    for words in (("validate",), ("validate", "--json"), ("plan",), ("run", "--sandbox")):
        said = command(*words, str(tmp_path / name))
        assert said.code == 2, said
        assert_no_key("what was printed", said.out + said.err)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"https://{KEY.replace('/', '')}@api.example/v1", "sk-a"),
        (f"https://user:{KEY.replace('/', '')}@api.example/v1", "sk-a"),
        (f"https://api.example/v1?key={KEY}", "sk-a"),
        (f"https://api.example:{KEY}/v1", "sk-a"),
        (f"{KEY}", "sk-a"),
        (f"http://api.example/{KEY}", "sk-a"),
        ("https://api.example/v1", f"{KEY}\n"[:14] + "\n" + KEY),
        ("https://api.example/v1", f"{KEY} {KEY}"),
        ("https://api.example/v1", f"{KEY}\u2026"),
        ("https://api.example/v1", f"{KEY}\x1b[31m"),
    ],
)
def test_a_key_in_an_odd_place_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, key: str
) -> None:
    monkeypatch.setenv("RUNBASE_API_KEY", key)
    (tmp_path / "a.txt").write_text("x\n")
    said = command("run", str(tmp_path / "a.txt"), "--base-url", url)
    assert said.code == 2, said
    assert_no_key("what was printed", said.out + said.err)
    assert_harmless(said.out, said.err)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_oracle_itself_finds_a_key() -> None:
    for text in (KEY, KEY[-8:], KEY[::-1], base64.b64encode(b"a:" + KEY.encode()).decode(), KEY.replace("/", "%2F")):
        with pytest.raises(AssertionError):
            assert_no_key("here", f"x {text} y")
    with pytest.raises(AssertionError):
        assert_harmless(ESCAPES)
