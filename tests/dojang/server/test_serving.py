from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from dojang.server import create_app, serve
from dojang.server.serving import CannotServe, bind, few_collections, server_for, url_of
from dojang.settings import Settings
from dojang.workspace import Workspace


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "example.com", "", "127.0.0.2"])
def test_any_address_but_loopback_is_refused(host: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "var", host=host, port=0, _env_file=None)  # type: ignore[call-arg]
    with pytest.raises(CannotServe, match=r"127\.0\.0\.1 only"):
        serve(settings)
    assert not (tmp_path / "var").exists()


def test_a_taken_port_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        settings = Settings(home=tmp_path / "var", port=port, _env_file=None)  # type: ignore[call-arg]
        with pytest.raises(CannotServe, match=f"port {port} of 127.0.0.1 is taken"):
            serve(settings)
    assert not (tmp_path / "var").exists()


def test_a_real_server_answers_to_its_own_address_only(workspace: Workspace) -> None:
    listener = bind("localhost", 0)
    server = server_for(create_app(workspace))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    try:
        url = url_of(listener)
        assert httpx.get(f"{url}ok", timeout=10).json()["ok"] is True
        assert httpx.get(url, headers={"host": "evil.example"}).status_code == 421
        assert httpx.post(f"{url}threads", data={"text": "x"}, headers={"origin": "http://evil"}).status_code == 403
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive()


def test_a_connection_rests_longer_than_clients_and_proxies_let_it() -> None:
    """Else a request is sent into one that the server is closing, and is lost: 5 s are httpx's, 60 nginx's."""
    assert server_for(FastAPI()).config.timeout_keep_alive > 60


def test_what_a_server_begins_with_is_passed_over_by_the_collector_while_it_runs() -> None:
    gc.unfreeze()  # the tests' own process passes over what it has collected, too
    try:
        with few_collections():
            assert gc.get_freeze_count() > 10_000
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()


async def test_the_parts_of_an_answer_do_not_wait_for_each_other() -> None:
    """Else each answer would take 40 ms longer: its body waits until the client has acknowledged its head."""
    accepted: asyncio.Queue[bool] = asyncio.Queue()

    async def one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = writer.get_extra_info("socket")
        await accepted.put(bool(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    with bind("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(one, sock=listener):  # as uvicorn does
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await asyncio.wait_for(accepted.get(), 10)
            writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_serve_says_where_it_is_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    code = "from dojang.settings import load_settings; from dojang.server import serve; serve(load_settings(port=0))"
    environment = {**os.environ, "DOJANG_HOME": str(tmp_path / "var"), "DOJANG_LANGUAGE": "en"}
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "error", "-c", code]
    with subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split(" at ")[1].split(" ")[0]
        assert httpx.get(f"{url}ok", timeout=60).json()["ok"] is True
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (0, "")


async def test_a_message_is_taken_in_before_anything_runs(workspace: Workspace) -> None:
    base = "http://127.0.0.1:8723"
    transport = httpx.ASGITransport(app=create_app(workspace))  # without workers: nothing is run
    headers = {"origin": base, "accept": "text/html", "accept-language": "en"}
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
        sent = await client.post("/threads", data={"text": "When is check-out?"})
        assert sent.status_code == 303
        thread = sent.headers["location"].partition("#")[0]
        page = (await client.get(thread)).text
        assert "When is check-out?" in page
        assert "Taken in and kept; no worker is up now." in page
        assert '<noscript><meta http-equiv="refresh"' in page
        assert (await client.post(f"{thread}/messages", data={"text": "And?"})).status_code == 409
        assert (await client.post(f"{thread}/stop", data={})).status_code == 303
        assert "was stopped" in (await client.get(thread)).text
