"""What is accepted, withdrawn or declared while a toolbox is in use counts from the moment it was written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from state import UserError
from tests.tools.mcp.shops import DECLARED, accepted, stdio
from tools.errors import ToolChanged, ToolFailed
from tools.mcp import files
from tools.mcp.definitions import LOCK, Offer
from tools.mcp.files import Files
from tools.mcp.link import Link
from tools.mcp.servers import McpServers, ServerDown, withdraw
from tools.toolbox import Toolbox

ORDER = {"item": "tea", "quantity": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def box(place: Path) -> Iterator[Toolbox]:
    """One toolbox, and one program, for all of these; nothing is accepted when it is opened."""
    servers = McpServers.open(stdio(place))
    yield Toolbox([], mcp=servers)
    servers.close()


@pytest.fixture
def shop(box: Toolbox, place: Path) -> Toolbox:
    """All of the shop is accepted."""
    accepted(stdio(place))
    (place / "orders.txt").unlink(missing_ok=True)
    return box


def names(box: Toolbox) -> list[str]:
    return sorted(spec["name"] for spec in box.offered())


def link_of(box: Toolbox) -> Link:
    assert box.mcp is not None
    return box.mcp.current()._links["shop"]


def test_what_is_accepted_meanwhile_is_offered_and_runs(box: Toolbox, place: Path) -> None:
    stdio(place)
    (place / LOCK).unlink(missing_ok=True)
    assert (names(box), box.names()) == ([], frozenset())
    with pytest.raises(ToolFailed, match="no tool"):
        box.run("shop_place_order", ORDER, key="ef_1")
    accepted(place / "mcp.toml")
    assert "shop_place_order" in names(box)
    box.run("shop_place_order", ORDER, key="ef_1")
    assert (place / "orders.txt").read_text("utf-8") == "1 tea ef_1\n"


def test_what_was_withdrawn_is_gone_at_once(shop: Toolbox, place: Path) -> None:
    assert shop.look("shop_place_order") is not None
    kept = link_of(shop)
    assert list(withdraw(place / "mcp.toml", ["shop"])) == ["shop"]
    assert (names(shop), shop.look("shop_place_order")) == ([], None)
    with pytest.raises(ToolFailed, match="no tool"):
        shop.run("shop_place_order", ORDER, key="ef_1")
    assert not (place / "orders.txt").exists()
    assert link_of(shop) is kept, "the server is the same"
    with pytest.raises(UserError, match="nothing to withdraw"):
        withdraw(place / "mcp.toml", ["shop"])


def test_what_is_withdrawn_while_its_server_is_asked_is_not_sent(
    shop: Toolbox, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Link.look

    def late(self: Link) -> Offer:
        found = look(self)
        if (place / LOCK).exists():
            (place / LOCK).unlink()
        return found

    spec = shop.look("shop_place_order")
    assert spec is not None
    monkeypatch.setattr(Link, "look", late)
    with pytest.raises(ToolChanged, match="nothing was run"):
        shop.run("shop_place_order", ORDER, key="ef_1", version=spec["schema_version"])
    assert not (place / "orders.txt").exists()


@pytest.mark.parametrize("broken", ["mcp.toml", LOCK])
def test_files_that_cannot_be_taken_hold_every_tool_back(shop: Toolbox, place: Path, broken: str) -> None:
    assert "shop_place_order" in names(shop)
    kept, whole = link_of(shop), (place / broken).read_text("utf-8")
    (place / broken).write_text(whole[: len(whole) // 2], "utf-8")  # as half of a write would leave it
    assert names(shop) == []
    for refused in (lambda: shop.look("shop_place_order"), lambda: shop.run("shop_place_order", ORDER, key="k")):
        with pytest.raises(ServerDown, match="until this is mended"):
            refused()
    assert shop.mcp is not None
    assert len(shop.mcp.current().problems()) == 1
    assert shop.describe("shop_place_order", ORDER, "en").startswith("Order 1 of tea"), "for cards"
    (place / broken).write_text(whole, "utf-8")
    shop.run("shop_place_order", ORDER, key="ef_1")
    assert (place / "orders.txt").exists()
    assert link_of(shop) is kept


def test_what_the_house_says_of_a_tool_counts_at_once(shop: Toolbox, place: Path) -> None:
    before = shop.look("shop_place_order")
    stdio(place, DECLARED.replace("reversible = true", "reversible = false"))
    now = shop.look("shop_place_order")
    assert before is not None
    assert now is not None
    assert (before["reversible"], now["reversible"]) == (True, False)
    assert now["schema_version"] != before["schema_version"], "an approval of before is void"


def test_a_tool_that_is_called_as_one_of_ours_holds_the_servers_back(shop: Toolbox) -> None:
    assert shop.mcp is not None
    [mine] = [tool for tool in shop.mcp.current().tools if tool.name == "shop_echo"]
    ours = mine.model_copy(update={"metadata": {}})
    with pytest.raises(UserError, match="two tools have the name"):
        Toolbox([ours], mcp=shop.mcp.current())
    both = Toolbox([ours])
    both.mcp = shop.mcp  # as if it was accepted after the toolbox was made
    assert names(both) == ["shop_echo"]
    with pytest.raises(ServerDown, match="two tools have the name"):
        both.run("shop_place_order", ORDER, key="k")
    assert both._now() is both._now()


def test_a_write_of_the_same_moment_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file, size and time: only its content tells."""
    stamp = files._stamp
    monkeypatch.setattr(files, "_stamp", lambda path: (*stamp(path)[:3], 0)[: 4 * bool(stamp(path))])
    monkeypatch.setattr(files, "SETTLED_NS", 60_000_000_000)
    path = stdio(tmp_path)
    servers = McpServers.open(path)
    before, at = Files(path).stamp(), path.stat()
    path.write_text(path.read_text("utf-8").replace("Order {quantity}", "ORDER {quantity}"), "utf-8")
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert Files(path).stamp() == before
    text = servers.current().servers["shop"].declared("place_order").text
    servers.close()
    assert text.startswith("ORDER")
