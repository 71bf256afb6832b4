"""Downloads connect where the rule allows, and nowhere else."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from batchgen.core.transfer_terms import Policy
from batchgen.service.addresses import (
    AddressRefused,
    Resolve,
    Scope,
    read_target,
    refuse_unless_allowed,
    resolve_name,
    scope_of,
)
from batchgen.service.download import Downloader, DownloadSettings, Fetched, Interrupted, Refused, Result
from tests.service.films import film
from tests.service.raw_server import raw_server, reply

FILM = film(50_000)
QUICK = Policy(first_wait=0.001, longest_wait=0.002, breaks=1, waits=1)
NOWHERE: frozenset[Scope] = frozenset()

SCOPES = {
    Scope.PUBLIC: ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "100.63.255.255", "172.32.0.1"],
    Scope.LOOPBACK: ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::127.0.0.1"],
    Scope.PRIVATE: [
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "fec0::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "64:ff9b:1::1", "2001:0:a00:1::"),
    ],
    Scope.LINK_LOCAL: ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"],
    Scope.MULTICAST: ["224.0.0.1", "239.255.255.250", "ff02::1"],
    Scope.UNSPECIFIED: ["0.0.0.0", "::", "::ffff:0.0.0.0"],
    Scope.RESERVED: ["0.1.2.3", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "2001:db8::1", "100::1"],
}


@pytest.mark.parametrize(("scope", "text"), [(scope, text) for scope, texts in SCOPES.items() for text in texts])
def test_every_address_has_its_scope_also_one_inside_another(scope: Scope, text: str) -> None:
    assert scope_of(ipaddress.ip_address(text)) is scope


ODD = [
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1../",
    "https://1.2.3.4.5/",
    "https://%31%32%37.0.0.1/",
    "https://h%00.example/",
    "https://a..b/",
    "https://-a.example/",
    f"https://{'a' * 300}.example/",
    "https://①②⑦.⓪.⓪.①/",
    "https://user@h.example/",
    "https://user:pass@h.example/",
    "https://trusted.example\\@h.example/",
    "https:///x",
    "https://",
    "//h.example/x",
    "h.example/x",
    "",
    "file:///etc/passwd",
    "file://h.example/x",
    "data:video/mp4;base64,AAAA",
    "ftp://h.example/x",
    "gopher://h.example/",
    "javascript:1",
    "https://h.example/\n",
    "https://[::1",
    "https://h.example:port/",
]


@pytest.mark.parametrize("url", ODD)
def test_odd_urls_are_refused_by_their_spelling(url: str) -> None:
    with pytest.raises(AddressRefused):
        read_target(url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://cdn.example/a?b=c#d", "cdn.example", 443),
        ("https://cdn.example.:8443/", "cdn.example.", 8443),
        ("HTTPS://CDN.Example/", "cdn.example", 443),
        ("https://bücher.example/", "xn--bcher-kva.example", 443),
        ("https://my_bucket.s3.example/", "my_bucket.s3.example", 443),
        ("http://localhost:8000/", "localhost", 8000),
        ("https://127。0。0。1/", "127.0.0.1", 443),
    ],
)
def test_ordinary_urls_lead_to_their_host(url: str, host: str, port: int) -> None:
    target = read_target(url)
    assert (target.host, target.port) == (host, port)
    assert (target.address is None) == (not host[0].isdigit())


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1./", "https://[::1]/", "https://[::ffff:7f00:1]/", "https://10.0.0.1/"]
)
def test_a_literal_address_is_read_as_one(url: str) -> None:
    address = read_target(url).address
    assert address is not None
    assert scope_of(address) is not Scope.PUBLIC


def allowed(url: str, addresses: Sequence[str], local: frozenset[Scope]) -> bool:
    try:
        refuse_unless_allowed(read_target(url), [ipaddress.ip_address(text) for text in addresses], local)
    except AddressRefused:
        return False
    return True


LOOPBACK, PRIVATE = frozenset({Scope.LOOPBACK}), frozenset({Scope.PRIVATE})


@pytest.mark.parametrize(
    ("url", "addresses", "local", "expected"),
    [
        ("https://a.example/", ["8.8.8.8"], NOWHERE, True),
        ("https://a.example/", ["8.8.8.8"], LOOPBACK, True),
        ("http://a.example/", ["8.8.8.8"], NOWHERE, False),
        ("http://a.example/", ["8.8.8.8"], LOOPBACK, False),
        ("https://a.example/", ["127.0.0.1"], NOWHERE, False),
        ("https://a.example/", ["127.0.0.1"], LOOPBACK, True),
        ("http://a.example:9/", ["127.0.0.1", "::1"], LOOPBACK, True),
        ("http://a.example/", ["127.0.0.1"], PRIVATE, False),
        ("http://a.example/", ["10.0.0.1"], PRIVATE, True),
        ("http://a.example/", ["10.0.0.1"], LOOPBACK, False),
        ("https://a.example/", ["8.8.8.8", "10.0.0.1"], NOWHERE, False),
        ("http://a.example/", ["8.8.8.8", "10.0.0.1"], PRIVATE, False),
        ("https://a.example/", [], NOWHERE, False),
        ("https://a.example/", ["198.18.0.5"], frozenset({Scope.RESERVED}), True),
        ("http://a.example/", ["198.18.0.5"], frozenset({Scope.RESERVED}), False),
    ],
)
def test_the_rule(url: str, addresses: Sequence[str], local: frozenset[Scope], expected: bool) -> None:
    """Public over https always; elsewhere only where the service itself lives, and there over http too."""
    assert allowed(url, addresses, local) is expected


# Over real sockets ----------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.anyio


def names(known: dict[str, list[str]], asked: list[str] | None = None) -> Resolve:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        if asked is not None:
            asked.append(host)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known[host]

    return resolve


async def fetch(
    part: Path, url: str, resolve: Resolve, base_url: str = "http://127.0.0.1/", context: ssl.SSLContext | None = None
) -> Result:
    settings = DownloadSettings(base_url, policy=QUICK, ssl_context=context or PLAIN)
    async with Downloader(settings, resolve=resolve) as downloader:
        with anyio.fail_after(20):
            return await downloader.fetch(url, part, lambda _count, _total: None)


PLAIN = httpx.create_ssl_context()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "lamp.mp4.part"


async def test_a_name_that_resolves_to_a_private_address_is_refused_before_connecting(part: Path) -> None:
    async with raw_server([reply(200, FILM)]) as server:
        url = f"https://cdn.example:{server.port}/"
        resolve = names({"cdn.example": ["127.0.0.1"], "runbase.example": ["8.8.8.8"]})
        result = await fetch(part, url, resolve, "https://runbase.example/api/v1")
        assert result == Refused("cdn.example is at a loopback address")
        assert server.accepted == 0


SPELT = [
    *("127.0.0.1", "127.0.0.1.", "127.255.255.254", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[::127.0.0.1]", "[2002:7f00:1::]", "[fe80::1%25lo]"),
    *("2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0"),
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1", "localhost", "LOCALHOST.", "user@127.0.0.1"),
]


@pytest.mark.row("download", "address not allowed")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", SPELT)
async def test_no_spelling_of_this_machine_is_connected(part: Path, host: str, scheme: str) -> None:
    """A server listens there, and sees no connection, whatever way its address is written."""
    async with raw_server([reply(200, FILM)], host="0.0.0.0") as server:
        url = f"{scheme}://{host}:{server.port}/lamp.mp4"
        assert isinstance(await fetch(part, url, resolve_name, "https://8.8.8.8/api/v1"), Refused)
        assert server.accepted == 0


async def test_a_name_that_moves_between_the_check_and_the_connection_is_not_followed(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer of the name server leads elsewhere, and nobody asks for it."""
    answers, really, looked_up = iter([["127.0.0.1"], ["127.0.0.2"]]), socket.getaddrinfo, list[str]()

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return next(answers)

    def spied(host: Any, *given: Any, **more: Any) -> Any:
        looked_up.append(str(host))
        return really(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", spied)
    async with raw_server([reply(200, FILM)]) as server, raw_server([reply(500)], host="127.0.0.2") as trap:
        result = await fetch(part, f"http://cdn.example:{server.port}/lamp.mp4", rebinding)
        assert isinstance(result, Fetched)
        assert (server.accepted, trap.accepted) == (1, 0)
        assert next(answers) == ["127.0.0.2"]
        assert not [host for host in looked_up if "cdn.example" in host]


async def test_one_forbidden_address_among_several_is_enough_to_refuse(part: Path) -> None:
    resolve = names({"cdn.example": ["127.0.0.1", "10.0.0.1"]})
    assert await fetch(part, "http://cdn.example/", resolve) == Refused("cdn.example is at a private address")


async def test_the_connection_goes_to_the_address_that_was_checked(part: Path) -> None:
    """A second answer of the name server is never asked for, so that it cannot lead elsewhere."""
    asked: list[str] = []
    async with raw_server([reply(200, FILM)]) as server:
        url = f"http://cdn.example:{server.port}/lamp.mp4"
        result = await fetch(part, url, names({"cdn.example": ["127.0.0.1"]}, asked))
        assert isinstance(result, Fetched)
        assert asked == ["cdn.example"]
        assert server.requests[0].headers["host"] == f"cdn.example:{server.port}"


async def test_a_redirect_to_a_name_is_resolved_and_checked_too(part: Path) -> None:
    async with raw_server([reply(302, b"", "Location: http://inner.example/")]) as server:
        result = await fetch(part, server.url(), names({"inner.example": ["192.168.0.1"]}))
        assert result == Refused("inner.example is at a private address")


async def test_a_service_known_by_name_is_resolved_to_learn_where_it_lives(part: Path) -> None:
    async with raw_server([reply(200, FILM)]) as server:
        resolve = names({"runbase.test": ["127.0.0.1"]})
        assert isinstance(await fetch(part, server.url(), resolve, "http://runbase.test:1/api"), Fetched)


async def test_an_address_that_takes_no_connection_gives_way_to_the_next(part: Path) -> None:
    async with raw_server([reply(200, FILM)]) as server:
        resolve = names({"cdn.example": ["127.0.0.2", "127.0.0.1"]})
        assert isinstance(await fetch(part, f"http://cdn.example:{server.port}/", resolve), Fetched)


async def test_a_name_that_nobody_knows_is_no_refusal(part: Path) -> None:
    result = await fetch(part, "https://gone.example/", names({}))
    assert isinstance(result, Interrupted)
    assert "gone.example could not be resolved" in result.reason


async def test_the_real_resolver_knows_localhost() -> None:
    found = await resolve_name("localhost", 80)
    assert {scope_of(ipaddress.ip_address(text)) for text in found} == {Scope.LOOPBACK}


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for cdn.example, and its key."""
    path = tmp_path_factory.mktemp("tls") / "cdn.pem"
    name = ["-subj", "/CN=cdn.example", "-addext", "subjectAltName=DNS:cdn.example"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]
    crt = path.with_suffix(".crt")
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *key, "-out", str(crt), *name], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + crt.read_bytes())
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
async def test_tls_asks_for_the_name_and_verifies_it_although_the_address_is_connected(
    part: Path, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    known = names({"cdn.example": ["127.0.0.1"], "cdn.example.": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
    asked_names: list[str | None] = []
    context = server_context(certificate)
    context.sni_callback = lambda _connection, name, _context: asked_names.append(name)
    async with raw_server([reply(200, FILM)], ssl_context=context) as server:
        right = await fetch(part, server.url(host="cdn.example"), known, context=trusting)
        dotted = await fetch(part, server.url(host="cdn.example."), known, context=trusting)
        wrong = await fetch(part, server.url(host="other.example"), known, context=trusting)
        unknown_issuer = await fetch(part, server.url(host="cdn.example"), known)
        assert len(server.requests) == 2
    assert isinstance(right, Fetched)
    assert isinstance(dotted, Fetched)
    assert isinstance(wrong, Interrupted)
    assert "certificate" in wrong.reason
    assert isinstance(unknown_issuer, Interrupted)
    assert asked_names[:3] == ["cdn.example", "cdn.example", "other.example"]
