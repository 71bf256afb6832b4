"""The account as a user meets it: the real command against a rehearsal service in a process of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batchgen.settings import Key
from tests.e2e.conftest import Shell, ended
from tests.e2e.test_run import many
from tests.service.certificates import self_signed

PRICE = 48_211  # of one run of `many`, in the rehearsal's micro-dollars
KEY, OTHER = "sk-one-canary", "sk-two-canary"


@dataclass
class Api:
    """A rehearsal service in which each key has a balance."""

    origin: str

    @property
    def given(self) -> dict[str, str]:
        return {"RUNBASE_BASE_URL": f"{self.origin}/api/v1", "RUNBASE_API_KEY": KEY}

    def runs(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.origin}/sandbox/ledger") as answer:
            runs: list[dict[str, Any]] = json.load(answer)["runs"]
            return runs

    def top_up(self, count: int, key: str | None = None) -> None:
        given = {"micro_usd": count * PRICE} | ({"key": Key(key).fingerprint} if key else {})
        with urllib.request.urlopen(f"{self.origin}/sandbox/topup", json.dumps(given).encode()):
            pass


@pytest.fixture
def poor(shell: Shell, unused_port: int) -> Iterator[Api]:
    """Each key has money for three runs, and a little more."""
    balance = f"{3.5 * PRICE / 1e6:.6f}"
    served = ("sandbox", "--port", str(unused_port), "--latency", "0.02", "--rate-limit", "none", "--balance", balance)
    process = shell.start(*served)
    assert process.stdout is not None
    assert str(unused_port) in process.stdout.readline()
    yield Api(f"http://127.0.0.1:{unused_port}")
    process.send_signal(signal.SIGINT)
    process.wait(10)


RUN = ("run", "many.csv", "-j", "6", "--rate-limit", "none")


def test_a_dry_account_stops_with_3_and_after_a_top_up_the_same_command_sends_the_rest(shell: Shell, poor: Api) -> None:
    shell.write("many.csv", many(12))
    said = shell(*RUN, **poor.given)
    assert said.code == 3, said
    assert "balance" in said.out.lower()
    assert "batchgen run many.csv" in said.out
    statuses = [run["status"] for run in shell.state("many.state.json").values()]
    assert sorted(statuses) == ["downloaded"] * 3 + ["pending"] * 9
    poor.top_up(9)
    assert shell(*RUN, **poor.given).code == 0
    assert len({run["input"]["prompt"] for run in poor.runs()}) == len(poor.runs()) == 12


def test_with_a_second_key_it_carries_on_and_each_run_stays_with_its_own(shell: Shell, poor: Api) -> None:
    shell.write("many.csv", many(12))
    poor.top_up(20, OTHER)
    said = shell(*RUN, **poor.given, RUNBASE_API_KEYS=f"{KEY},{OTHER}")
    assert said.code == 0, said
    owners = {run["id"]: run["key"] for run in poor.runs()}
    assert owners == {run["run_id"]: run["key"] for run in shell.state("many.state.json").values()}
    assert list(owners.values()).count(Key(KEY).fingerprint) == 3
    assert "canary" not in said.out + said.err + (shell.folder / "many.state.json").read_text()


def test_ctrl_c_while_it_waits_for_credit_ends_at_once_with_130(shell: Shell, poor: Api) -> None:
    shell.write("many.csv", many(12))
    process = shell.start(*RUN, "--on-no-credit", "wait", **poor.given)
    videos = shell.folder / "videos"
    shell.wait_for(lambda: len(list(videos.glob("*.mp4"))) == 3, process)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert said.code == 130, said
    statuses = [run["status"] for run in shell.state("many.state.json").values()]
    assert sorted(statuses) == ["downloaded"] * 3 + ["pending"] * 9
    poor.top_up(9)
    assert shell(*RUN, **poor.given).code == 0
    assert len(poor.runs()) == 12


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make a certificate")
def test_a_certificate_that_nobody_vouches_for_stops_with_3_and_shows_no_key(shell: Shell, tmp_path: Path) -> None:
    shell.write("many.csv", many(4))
    context, received = self_signed(tmp_path), bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        received.extend(wrapped.recv(1))
                except OSError:  # a handshake that the client breaks off; or the end of the test
                    if listening.fileno() < 0:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        given = {"RUNBASE_BASE_URL": f"https://127.0.0.1:{port}/api/v1", "RUNBASE_API_KEY": KEY}
        said = shell("run", "many.csv", **given)
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert said.code == 3, said
    assert "certificate" in said.out
    assert bytes(received) == b""
    assert {run["status"] for run in shell.state("many.state.json").values()} == {"pending"}
    assert "canary" not in said.out + said.err + (shell.folder / "many.state.json").read_text()


def test_an_endpoint_that_does_not_exist_leads_to_the_base_url(shell: Shell, poor: Api) -> None:
    shell.write("many.csv", many(2))
    said = shell(*RUN, "--base-url", f"{poor.origin}/api/v2", **poor.given)
    assert said.code == 3, said
    assert "--base-url" in said.out
    assert {run["status"] for run in shell.state("many.state.json").values()} == {"pending"}
