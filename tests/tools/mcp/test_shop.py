"""Tools of a real MCP server process behind the toolbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from state import PassingFault
from tests.tools.mcp.shops import Listening, accepted, http, stdio
from tools.errors import OutcomeUnknown, ToolChanged, ToolFailed
from tools.mcp.servers import McpServers, ServerDown
from tools.toolbox import Toolbox


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolbox]:
    """One program for all that leave it as it is; it is turned by files in its folder, which each test takes away."""
    folder = tmp_path_factory.mktemp("shop")
    servers = McpServers.open(accepted(stdio(folder)), logs=folder / "logs")
    yield Toolbox([], mcp=servers)
    servers.close()


def folder_of(shop: Toolbox) -> Path:
    assert shop.mcp is not None
    [server] = shop.mcp.servers.values()
    assert server.cwd is not None
    return server.cwd


@pytest.fixture
def folder(shop: Toolbox) -> Iterator[Path]:
    place = folder_of(shop)
    yield place
    for name in ("changed", "gone", "go", "orders.txt"):
        (place / name).unlink(missing_ok=True)


def specs(shop: Toolbox) -> dict[str, Any]:
    return {spec["name"]: spec for spec in shop.offered()}


def test_what_a_server_says_of_its_effects_declares_nothing(shop: Toolbox) -> None:
    """``place_order`` calls itself read-only and idempotent; the house says what counts, and is silent of ``echo``."""
    found = specs(shop)
    assert (found["shop_place_order"]["effect_class"], found["shop_place_order"]["recovery"]) == (
        "write",
        "at_most_once",
    )
    assert found["shop_find_order"]["effect_class"] == "read"
    assert (found["shop_echo"]["effect_class"], found["shop_echo"]["reversible"]) == ("irreversible", False)
    assert {spec["trust"] for spec in found.values()} == {"untrusted"}


def test_the_key_is_the_ledgers_alone(shop: Toolbox, folder: Path) -> None:
    assert "request_id" not in specs(shop)["shop_place_order"]["parameters"]["properties"]
    shop.run("shop_place_order", {"item": "tea", "quantity": 2}, key="ef_1")
    assert (folder / "orders.txt").read_text("utf-8") == "2 tea ef_1\n"
    with pytest.raises(ToolFailed, match="no such argument"):
        shop.run("shop_place_order", {"item": "tea", "quantity": 2, "request_id": "mine"}, key="ef_2")


def test_exactly_the_approved_arguments_are_sent(shop: Toolbox) -> None:
    """The adapters take an argument called ``runtime`` for something of their own and drop it."""
    assert shop.run("shop_echo", {"runtime": "here"}, key="k")["text"] == "runtime=here"


def test_an_answer_is_bounded_cleaned_and_says_what_it_left_out(shop: Toolbox) -> None:
    long = shop.run("shop_describe", {"what": "long"}, key="")
    assert len(long["text"]) == 16_000
    assert long["left_out"][0] == "text, 484,000 characters more"
    assert shop.run("shop_describe", {"what": "hidden"}, key="")["text"] == "safe text"
    large = shop.run("shop_count", {}, key="k")["structured"]
    assert (large["large"], large["none"]) == (str(10**30), None), "it can be written down"
    picture = shop.run("shop_describe", {"what": "picture"}, key="")
    assert picture["left_out"] == ["image image/png, 2,004 bytes"]
    assert shop.tell("shop_describe", picture, "ko") == ["A picture:", "(뺀 것: image image/png, 2,004 bytes)"]
    assert all(len(line) <= 450 for line in shop.tell("shop_describe", long, "en"))


def test_a_changed_tool_loses_what_was_declared_of_it(shop: Toolbox, folder: Path) -> None:
    before = shop.look("shop_place_order")
    assert before is not None
    (folder / "changed").touch()
    now = shop.look("shop_place_order")
    assert now is not None
    assert now["drift"] == ["description", "arguments"]
    assert (now["effect_class"], now["recovery"], now["reversible"]) == ("irreversible", "at_most_once", False)
    assert now["schema_version"] != before["schema_version"]
    assert "shop_place_order" not in specs(shop), "the model is not shown words that nobody has accepted"
    with pytest.raises(ToolChanged, match="nothing was run"):
        shop.run("shop_place_order", {"item": "tea", "quantity": 1}, key="k", version=before["schema_version"])
    assert not (folder / "orders.txt").exists()
    assert shop.mcp is not None
    assert "held back: place_order" in shop.mcp.problems()[0]


def test_a_tool_that_is_gone_is_none(shop: Toolbox, folder: Path) -> None:
    (folder / "gone").touch()
    assert shop.look("shop_place_order") is None
    assert shop.spec("shop_place_order") is not None, "cards can still say what it was"


def test_an_error_of_the_tool_leaves_its_effect_in_doubt_unless_declared(shop: Toolbox, folder: Path) -> None:
    with pytest.raises(OutcomeUnknown, match="there is no such item"):
        shop.run("shop_place_order", {"item": "nothing", "quantity": 1}, key="k")
    with pytest.raises(ToolFailed, match="failed"):  # of a read nothing can be in doubt
        shop.run("shop_describe", {"what": "trouble"}, key="")


def test_a_program_that_dies_in_a_call_is_in_doubt_and_comes_back(shop: Toolbox, folder: Path) -> None:
    with pytest.raises(OutcomeUnknown, match="look whether it happened"):
        shop.run("shop_place_order", {"item": "crash", "quantity": 1}, key="ef_9")
    assert (folder / "orders.txt").read_text("utf-8") == "1 crash ef_9\n"
    assert shop.run("shop_find_order", {"request_id": "ef_9"}, key="")["structured"] == {"happened": True}


def test_a_server_that_is_slow_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path = accepted(stdio(tmp_path, more="timeout_s = 0.3"))
    servers = McpServers.open(path)
    try:
        with pytest.raises(OutcomeUnknown, match="look whether it happened"):
            Toolbox([], mcp=servers).run("shop_place_order", {"item": "slow", "quantity": 1}, key="k")
    finally:
        (tmp_path / "go").touch()
        servers.close()


def test_over_http_a_server_that_is_down_is_said_and_taken_up_again(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("the socket is handed to the child as a file descriptor")
    server = Listening(tmp_path)
    path = accepted(http(tmp_path, server.port))
    servers = McpServers.open(path)
    box = Toolbox([], mcp=servers)
    try:
        assert box.run("shop_echo", {"runtime": "one"}, key="k")["text"] == "runtime=one"
        server.kill()
        with pytest.raises(ServerDown, match="MCP server shop does not answer"):
            box.look("shop_echo")
        with pytest.raises(PassingFault):
            box.run("shop_echo", {"runtime": "two"}, key="k")
        assert box.offered() == []
        server = Listening(tmp_path, server.port)
        assert box.run("shop_echo", {"runtime": "three"}, key="k")["text"] == "runtime=three"
    finally:
        servers.close()
        server.kill()
