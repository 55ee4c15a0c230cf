"""`dojang mcp …`: tools of servers looked at and accepted; Dojang itself served to a real client, as a process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.dojang.conftest import ROOT, Shell
from tests.tools.mcp.shops import stdio
from tools.mcp.config import Server
from tools.mcp.servers import McpServers


def test_tools_are_offered_once_somebody_has_accepted_them(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stdio(tmp_path)
    monkeypatch.setenv("DOJANG_MCP", str(path))
    seen = shell("mcp", "tools")
    assert (seen.code, "place_order  writes" in seen.out, "not accepted yet" in seen.out) == (0, True, True)
    assert "Place an order at the shop." in seen.out, "its words are shown to whoever accepts them"
    assert shell("mcp", "accept", "nobody").code == 2
    assert not path.with_name("mcp.lock.json").exists()

    done = shell("mcp", "accept", "shop", "--json")
    assert done.json == {"shop": ["count", "describe", "echo", "find_order", "place_order"]}
    kept = json.loads(path.with_name("mcp.lock.json").read_text("utf-8"))["servers"]["shop"]
    assert (kept["by"], kept["tools"]["place_order"]["description"]) == ("kim", "Place an order at the shop.")
    assert "tools of an MCP server accepted" in shell("audit", "list").out

    (tmp_path / "changed").touch()
    changed = shell("mcp", "tools", "--lang", "ko")
    assert "+ Place an order, and a copy of it with us." in changed.out
    assert "설명이 다름" in changed.out

    assert shell("mcp", "withdraw", "nobody").code == 2
    kept_whole = path.with_name("mcp.lock.json").read_text("utf-8")
    taken = shell("mcp", "withdraw", "shop", "--lang", "ko")
    assert (taken.code, "도구 5개" in taken.out) == (0, True)
    assert json.loads(path.with_name("mcp.lock.json").read_text("utf-8"))["servers"] == {}
    assert "tools of an MCP server withdrawn" in shell("audit", "list").out
    path.with_name("mcp.lock.json").write_text(kept_whole, "utf-8")

    held = shell("ask", "When is breakfast?")
    assert "these tools are held back: place_order" in held.err
    path.write_text('[server.shop]\nurl = "http://127.0.0.1:9/mcp"\n', "utf-8")
    down = shell("ask", "When is breakfast?", "--lang", "ko")
    assert "MCP 서버 shop에서 응답이 없습니다" in down.err
    path.write_text('[server.shop]\nurl = "http://kim:secret@127.0.0.1:9/mcp"\n', "utf-8")
    refused = shell("ask", "When is breakfast?")
    assert (refused.code, "use token_env" in refused.err, "secret" in refused.err) == (2, True, False)


def test_a_client_asks_dojang_over_standard_input_and_cannot_decide(shell: Shell) -> None:
    """The client is our own side of the protocol, with Dojang for a server."""
    environment = {**shell.environment, "PYTHONPATH": str(ROOT)}
    server = Server(
        name="desk",
        command=sys.executable,
        args=["-m", "tests.dojang.rehearsed_cli", "mcp"],
        cwd=shell.home.parent,
        env=environment,
        start_s=60,
    )
    servers = McpServers([server], {})
    desk = servers._links["desk"]
    try:
        assert set(desk.look().tools) == {"ask", "list_reviews", "read_thread", "decide"}
        run = desk.call("ask", {"text": "please book it"}, {}).structuredContent
        assert run is not None
        review = run["reviews"][0]["id"]
        answer = desk.call("decide", {"review_id": review, "decision": "approve"}, {})
    finally:
        servers.close()
    assert run["status"] == "paused"
    assert answer.isError
    assert "bears no token of a person" in str(answer.content[0])
    assert shell("show", review, "--json").json["decision"] is None
