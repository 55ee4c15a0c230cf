"""Where a webhook may go. The URL comes from a client, so it must not become a way into the server's own network.

A name is looked up once, every address that it has is judged, and one of those is connected to: asking a second time
would let its owner answer something else. Ranges are :mod:`ipaddress`'s (IANA's special-purpose registries), with the
forms that carry an IPv4 address inside them unfolded, and one address that is special at one provider only.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from dojang.settings import Settings
from state import PassingFault, UserError

LONGEST: Final = 2_000
_CARRIERS: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
"""NAT64 (RFC 6052, RFC 8215) and the old IPv4-compatible form: the last 32 bits are an IPv4 address."""
_UNICAST: Final = IPv6Network("2000::/3")
"""Where IPv6 addresses of the public network are given out (RFC 4291); all else is something special."""
_SPECIAL: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.88.99.0/24"), IPv4Network("192.0.0.0/24"))
"""Azure's host channel, a public address; the 6to4 relays (RFC 7526); IETF's own, which Pythons see differently."""


class AddressRefused(UserError):
    """A webhook may not go there; no attempt changes that."""


class NotFound(PassingFault):
    """The name cannot be looked up now."""


@dataclass(frozen=True)
class Reach:
    """What the settings let webhooks reach.

    ``hosts``: only these names, and what lies under those that begin with a dot; empty: any public host.
    ``loopback``: also this machine where it is named as such, over http, too. ``signed``: whether there is a secret;
    without one nothing goes out.
    """

    hosts: tuple[str, ...] = ()
    loopback: bool = False
    signed: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings have it."""
        hosts = tuple(host.lower().rstrip(".") for host in settings.webhook_hosts)
        return cls(hosts, settings.webhook_loopback, settings.webhook_secret is not None)

    def check(self, url: str) -> SplitResult:
        """The parts of a URL that may be told, as far as that shows without looking its name up.

        Raises:
            AddressRefused: saying why.
        """
        if not self.signed:
            raise AddressRefused("webhook: this server signs none yet; set DOJANG_WEBHOOK_SECRET, or join the run")
        parts = _parts(url)
        host = (parts.hostname or "").rstrip(".")
        if self.hosts and not any(_is_under(host, allowed) for allowed in self.hosts):
            raise AddressRefused(f"webhook: {host} is not among the hosts of DOJANG_WEBHOOK_HOSTS")
        if parts.scheme != "https" and not (self.loopback and _is_here(host)):
            raise AddressRefused("webhook: https only (http to this machine, where DOJANG_WEBHOOK_LOOPBACK says so)")
        literal = _literal(host)
        if literal is not None:
            self.check_address(literal, host)
        return parts

    def check_address(self, address: IPv4Address | IPv6Address, host: str) -> None:
        """Raise AddressRefused for an address of ``host`` that is not out in the public network."""
        inner = _unfolded(address)
        if inner.is_loopback and self.loopback and _is_here(host):
            return
        special = (
            inner.is_private, inner.is_loopback, inner.is_link_local, inner.is_multicast, inner.is_reserved,
            inner.is_unspecified, not inner.is_global,
            any(inner in network for network in _SPECIAL) if isinstance(inner, IPv4Address) else inner not in _UNICAST,
        )  # fmt: skip
        if any(special):
            raise AddressRefused(f"webhook: {address} is no public address, so nothing is sent there")

    def resolved(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name, each of which may be reached.

        Raises:
            AddressRefused: one of them may not.
            NotFound: it has none now.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotFound(f"{host} cannot be looked up ({error})") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self.check_address(ipaddress.ip_address(address), host)
        return addresses


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("webhook: this is no URL; send one like https://example.com/hook") from None
    if len(url) > LONGEST or not url.isascii() or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        raise AddressRefused(f"webhook: a URL is at most {LONGEST} ASCII characters, without spaces")
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise AddressRefused("webhook: send a whole URL, like https://example.com/hook")
    if "@" in parts.netloc or parts.fragment:
        raise AddressRefused("webhook: a URL with a name and password, or a fragment, is not taken")
    return parts


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    """Whether a host names this machine outright; a name that merely leads to it does not."""
    literal = _literal(host)
    return host == "localhost" if literal is None else literal.is_loopback


def _is_under(host: str, allowed: str) -> bool:
    return host.endswith(allowed) and host != allowed[1:] if allowed.startswith(".") else host == allowed


def _unfolded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, or itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address.packed[:15] != bytes(15) and any(address in network for network in _CARRIERS):
        return IPv4Address(address.packed[-4:])
    return address
