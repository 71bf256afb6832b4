"""Which addresses a download may connect to: the rule, pure, and a transport that holds every connection to it.

A URL comes from the service, and a redirect from anywhere: neither may make this program ask the machine itself, its
network or a cloud's metadata service. A name is resolved once, all its addresses are checked, and the connection goes
to one of them, so that a second answer of the name server cannot slip in between. TLS still proves the name.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

import anyio
import httpx

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII | re.IGNORECASE)
_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.ASCII | re.IGNORECASE)
_LONGEST_NAME = 253  # RFC 1035, section 2.3.4, without the closing dot
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")  # between a provider and its customers, RFC 6598
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")  # deprecated, still inside networks
_UNIQUE_LOCAL = ipaddress.IPv6Network("fc00::/7")
_RFC1918 = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# These stand for the IPv4 address in their last four bytes: NAT64 (RFC 6052) and the old “compatible” form.
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
# Tunnels and local NAT64: no public server is reached by these, an inner network may be.
_TUNNELS = tuple(map(ipaddress.IPv6Network, ("2002::/16", "2001::/32", "64:ff9b:1::/48")))

CONNECT_SECONDS = 15.0
_HURRIED_SECONDS = 4.0  # for an address that is not the last: a dead IPv6 path must not cost each download a long wait


class Scope(StrEnum):
    """From where an address can be reached."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"


_PLAIN_HTTP = frozenset({Scope.LOOPBACK, Scope.PRIVATE, Scope.LINK_LOCAL})


class AddressRefused(Exception):
    """The rule forbids to connect. The text names the host, never the URL, whose query may hold a signature."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: `address` is there where the host is spelt as one."""

    scheme: str
    host: str
    port: int
    address: Address | None


def scope_of(address: Address) -> Scope:
    """The scope of an address; one that stands for an IPv4 address has that one's scope."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return scope_of(inner)
    rules = (
        (Scope.UNSPECIFIED, address.is_unspecified),
        (Scope.LOOPBACK, address.is_loopback),
        (Scope.LINK_LOCAL, address.is_link_local),
        (Scope.MULTICAST, address.is_multicast),
        (Scope.PRIVATE, _is_private(address)),
        (Scope.RESERVED, not address.is_global or address.is_reserved),
    )
    return next((scope for scope, holds in rules if holds), Scope.PUBLIC)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    stands_for = int(address) > 1 and any(address in network for network in _EMBEDDING)  # not :: and ::1
    return IPv4Address(int(address) & 0xFFFFFFFF) if stands_for else None


def _is_private(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address in _SHARED or any(address in network for network in _RFC1918)
    return address in _UNIQUE_LOCAL or address in _SITE_LOCAL or any(address in network for network in _TUNNELS)


def read_target(url: str) -> Target:
    """Where `url` leads by its spelling alone. Raises AddressRefused where no download may ever go there."""
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, TypeError) as problem:
        raise AddressRefused("the URL cannot be read") from problem
    if parsed.scheme not in ("https", "http"):
        raise AddressRefused(f"a URL of the kind “{parsed.scheme[:20]}:” is not fetched, only https")
    if parsed.userinfo:
        raise AddressRefused("a URL with a user name in it is not fetched")
    port = parsed.port if parsed.port is not None else {"https": 443, "http": 80}[parsed.scheme]
    return Target(parsed.scheme, host, port, _literal(host))


def _literal(host: str) -> Address | None:
    """The address that `host` spells, or `None` for a name. Spellings such as 0x7f.1 or 017700000001 raise."""
    bare = host.removesuffix(".")
    if len(bare) > _LONGEST_NAME:
        raise AddressRefused("the name of the host is too long")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    if _NAME.fullmatch(bare) and not _NUMERIC_LABEL.fullmatch(bare.rpartition(".")[2]):
        return None
    raise AddressRefused(f"{host[:80]!r} is no name of a host")


def refuse_unless_allowed(target: Target, addresses: Sequence[Address], local: frozenset[Scope]) -> None:
    """Raises AddressRefused unless every one of `addresses` is public and asked over https, or of a scope in `local`.

    `local` is where the service itself lives: there, and not on the public net, plain http is allowed too.
    """
    if not addresses:
        raise AddressRefused(f"{target.host} has no address")
    for address in addresses:
        scope = scope_of(address)
        if scope is not Scope.PUBLIC and scope not in local:
            raise AddressRefused(f"{target.host} is at a {scope} address")
        if target.scheme != "https" and scope not in local & _PLAIN_HTTP:
            raise AddressRefused(f"{target.host} is asked over {target.scheme}, not https")


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """All addresses of a host, the best one first. Raises OSError."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedTransport(httpx.AsyncBaseTransport):
    """Connects to addresses that the rule allows and to no other; each request is checked, and so is each redirect.

    `base_url` is the service's own: a service on a loopback or private address may give URLs of that scope.
    `inner` must keep no idle connections: one is proved for one name, and another name at the same address would be
    asked over it. Raises AddressRefused before anything is sent; otherwise what httpx raises.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, base_url: str, resolve: Resolve = resolve_name) -> None:
        self._inner = inner
        self._base_url = base_url
        self._resolve = resolve
        self._local: frozenset[Scope] | None = None  # resolved when first needed: mostly never

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` to the first checked address of its host that takes a connection."""
        target = read_target(str(request.url))
        addresses = await self._addresses(target)
        try:
            refuse_unless_allowed(target, addresses, frozenset())
        except AddressRefused:
            refuse_unless_allowed(target, addresses, await self._local_scopes())
        for address in addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_pinned(request, target, address, _HURRIED_SECONDS))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_pinned(request, target, addresses[-1], CONNECT_SECONDS))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def _addresses(self, target: Target) -> list[Address]:
        if target.address is not None:
            return [target.address]
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                found = await self._resolve(target.host.removesuffix("."), target.port)
        except TimeoutError as problem:
            raise httpx.ConnectTimeout(f"the name {target.host} could not be resolved in time") from problem
        except (OSError, UnicodeError) as problem:
            raise httpx.ConnectError(f"the name {target.host} could not be resolved: {problem}") from problem
        return [ipaddress.ip_address(text) for text in found]

    async def _local_scopes(self) -> frozenset[Scope]:
        if self._local is None:
            addresses = await self._addresses(read_target(self._base_url))
            self._local = frozenset(map(scope_of, addresses))
        return self._local


def _pinned(request: httpx.Request, target: Target, address: Address, connect_seconds: float) -> httpx.Request:
    """The same request to one address: the header Host stays, and TLS asks for the name and verifies it."""
    timeout = {**request.extensions.get("timeout", {}), "connect": connect_seconds}
    extensions = {**request.extensions, "timeout": timeout}
    if target.address is None:
        extensions["sni_hostname"] = target.host.removesuffix(".")
    url = request.url.copy_with(host=str(address))
    return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
