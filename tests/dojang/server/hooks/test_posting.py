"""One attempt: signed, not led elsewhere, and over when its time or its size is."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from dojang.server.hooks.addresses import Reach
from dojang.server.hooks.posting import MOST_READ, NotDelivered, Poster
from tests.dojang.server.receiver import receiving, verified

SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes or more").decode()
POSTER = Poster(Reach(loopback=True), SecretStr(SECRET), now=lambda: 1_767_225_600.5)


def test_a_receiver_can_check_who_said_it() -> None:
    with receiving() as receiver:
        POSTER.post(receiver.url + "/hook", "msg_1", b'{"a": 1}')
        headers, body = receiver.got.get(timeout=30)
    assert (headers["webhook-id"], headers["webhook-timestamp"], body) == ("msg_1", "1767225600", b'{"a": 1}')
    assert verified(headers, body, SECRET)
    assert not verified(headers, body + b" ", SECRET)
    assert not verified({**headers, "webhook-timestamp": "1767225601"}, body, SECRET)


@pytest.mark.parametrize(("status", "last"), [(301, False), (307, False), (404, False), (503, False), (410, True)])
def test_an_answer_that_is_no_yes(status: int, last: bool) -> None:
    with receiving() as receiver:
        receiver.answers.append(status)
        with pytest.raises(NotDelivered, match=str(status)) as failed:
            POSTER.post(receiver.url, "msg_1", b"{}")
        assert failed.value.last is last
        assert receiver.got.qsize() == 1  # nobody was led elsewhere


@contextmanager
def saying(*chunks: bytes) -> Iterator[str]:
    """A receiver that says this, and then nothing, and does not hang up."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for chunk in chunks:
                try:
                    connection.sendall(chunk)
                except OSError:
                    break
            over.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        over.set()
        with contextlib.suppress(OSError):  # an attempt whose time was over before it came here leaves it waiting
            socket.create_connection(listener.getsockname()[:2], timeout=5).close()
        thread.join()
        listener.close()


def test_an_answer_that_never_ends_or_never_comes() -> None:
    with saying(b"HTTP/1.1 200 OK\r\n", *[b"x-more: " + b"a" * 9_000 + b"\r\n"] * (MOST_READ // 9_000 + 2)) as url:
        with pytest.raises(NotDelivered):
            POSTER.post(url, "msg_1", b"{}")
    with saying(b"HTTP/1.1 200") as url, pytest.raises(NotDelivered, match="Timeout"):
        Poster(POSTER.reach, POSTER.secret, timeout_s=0.1).post(url, "msg_1", b"{}")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotDelivered, match="ConnectError") as failed:
        POSTER.post(f"http://127.0.0.1:{port}/", "msg_1", b"{}")
    assert not failed.value.last
