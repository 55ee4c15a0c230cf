"""Where webhooks may go: nowhere into the server's own network, however the address is written or looked up."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from pydantic import SecretStr

from dojang.server.hooks.addresses import AddressRefused, NotFound, Reach
from dojang.server.hooks.posting import NotDelivered, Poster

PUBLIC = "93.184.215.14"
PRIVATE = """
127.0.0.1 127.9.9.9 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200
168.63.129.16 0.0.0.0 224.0.0.1 255.255.255.255 192.0.0.192 198.18.0.1 240.0.0.1 ::1
:: fe80::1 fc00::1 fd00:ec2::254 ff02::1 fec0::1 ::ffff:127.0.0.1 ::ffff:a9fe:a9fe
::7f00:1 64:ff9b::a00:1 64:ff9b:1::7f00:1 2002:7f00:1:: 2001:0:0:0:0:0:80ff:fffe 2001:db8::1
""".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_is_refused_written_out_and_looked_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefused, match="no public address"):
        Reach().check(f"https://{literal}/hook")
    answers(monkeypatch, PUBLIC, address)
    with pytest.raises(AddressRefused, match="no public address"):  # one of several is enough
        Reach().resolved("rebinding.example", 443)
    if not address.startswith("127."):
        with pytest.raises(AddressRefused):  # nor where this machine may be told
            Reach(loopback=True).resolved("rebinding.example", 443)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_a_public_address_is_not(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Reach().check(f"https://{f'[{address}]' if ':' in address else address}:8443/hook?a=b")
    answers(monkeypatch, address)
    assert Reach().resolved("example.com", 443) == [address]


def test_a_name_that_leads_here_is_not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "127.0.0.1")
    with pytest.raises(AddressRefused):
        Reach(loopback=True).resolved("rebinding.example", 443)
    assert Reach(loopback=True).resolved("localhost", 80) == ["127.0.0.1"]
    with pytest.raises(AddressRefused):
        Reach().resolved("localhost", 80)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook", "ftp://example.com/", "//example.com/", "/hook", "example.com", "https://", "https:///x",
        "https://user:pass@example.com/", "https://example.com/#part", "https://example.com:0/", "https://example.com:x/",
        "https://exa mple.com/", "https://example.com/\r\nx: y", "https://[::1/", "file:///etc/passwd", "",
        "https://例え.jp/", "https://example.com/" + "a" * 2000, "http://127.0.0.1:80/", "http://localhost/",
    ],
)  # fmt: skip
def test_what_is_no_url_for_a_webhook(url: str) -> None:
    with pytest.raises(AddressRefused):
        Reach().check(url)


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1", "017700000001"])
def test_a_number_in_disguise_is_judged_as_what_it_leads_to(host: str) -> None:
    with pytest.raises(AddressRefused):
        Reach(loopback=True).resolved(host, 80)


def test_the_list_of_hosts() -> None:
    reach = Reach(hosts=("example.com", ".hooks.example.org"))
    for good in ("https://example.com/", "https://EXAMPLE.com./", "https://a.hooks.example.org/"):
        reach.check(good)
    for bad in (
        "https://a.example.com/",
        "https://hooks.example.org/",
        "https://badhooks.example.org/",
        "https://x.org/",
    ):
        with pytest.raises(AddressRefused, match="DOJANG_WEBHOOK_HOSTS"):
            reach.check(bad)
    with pytest.raises(AddressRefused, match="DOJANG_WEBHOOK_SECRET"):
        Reach(signed=False).check("https://example.com/")


def test_a_name_is_looked_up_once_and_what_was_judged_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer would lead inside: nobody asks for it."""
    asked = answers(monkeypatch, "203.0.113.1", then="127.0.0.1")
    monkeypatch.setattr(Reach, "check_address", lambda *_: None)  # a documentation address, which nothing answers
    reached: list[Any] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        reached.append(address[0])
        raise OSError("nobody is there")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(NotDelivered, match="nobody is there"):
        Poster(Reach(), SecretStr("s" * 24)).post("https://example.com/", "msg_1", b"{}")
    assert (reached, len(asked)) == (["203.0.113.1"], 1)


def test_a_name_that_is_not_there_now_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", gone)
    with pytest.raises(NotFound):
        Reach().resolved("example.com", 443)
    with pytest.raises(NotDelivered) as failed:
        Poster(Reach(), SecretStr("s" * 24)).post("https://example.com/", "msg_1", b"{}")
    assert not failed.value.last


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str, then: str = "") -> list[str]:
    asked: list[str] = []

    def looked_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        found = [then] if then and len(asked) > 1 else addresses
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return asked
