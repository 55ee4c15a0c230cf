"""Calls of a real MCP server through graph, gate, ledger and policy: what changes, dies or is down while it waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dojang.workspace import Workspace
from state import JSON, PassingFault
from tests.dojang.workspaces import workspace_for
from tests.graph.parts import Script, calls, says
from tests.tools.mcp.shops import DECLARED, Listening, accepted, http, stdio
from tools.errors import OutcomeUnknown
from tools.mcp.servers import ServerDown, withdraw

TEA: dict[str, JSON] = {"item": "tea", "quantity": 2}
ONCE = DECLARED.replace('key = "request_id"', 'key = "request_id"\nonce = true')
PROBED = DECLARED.replace('key = "request_id"', 'key = "request_id"\nprobe = "find_order"')


class House:
    """Workspaces of one home, one after the other as processes would be, whose model wants one call and then talks."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder, self.dsn = folder, dsn
        self._open = ExitStack()

    def __call__(self, path: Path, *lines: Any) -> Workspace:
        self._open.close()
        made = workspace_for(self.folder / "home", self.dsn, generator=Script([*lines, says("Done.")]), mcp=path)
        return self._open.enter_context(made)

    def close(self) -> None:
        self._open.close()

    @property
    def orders(self) -> list[str]:
        place = self.folder / "orders.txt"
        return [line.split(" ")[1] for line in place.read_text("utf-8").splitlines()] if place.exists() else []


@pytest.fixture
def house(tmp_path: Path, postgres_dsn: str) -> Iterator[House]:
    opened = House(tmp_path, postgres_dsn)
    yield opened
    opened.close()


def wants(args: dict[str, JSON] = TEA) -> Any:
    return calls(("shop_place_order", args))


def test_an_approval_of_a_tool_that_changed_is_void_and_asked_anew(house: House, tmp_path: Path) -> None:
    path = accepted(stdio(tmp_path))
    workspace = house(path, wants())
    [first] = workspace.ask("Order two of tea").reviews
    assert first["summary"] == "Order 2 of tea at the shop."
    assert "drift" not in str(first["why"])
    (tmp_path / "changed").touch()

    run = workspace.decide(first["id"], "approve").run
    [second] = run.reviews
    assert (house.orders, run.status) == ([], "paused")
    assert second["digest"] != first["digest"]
    assert (second["action"]["effect_class"], second["tier"]) == ("irreversible", 2)
    [told] = [reason for reason in second["why"] if reason["rule_id"] == "default.drift"]
    assert "(its description, its arguments)" in told["texts"]["en"]
    assert "(설명, 인자)" in told["texts"]["ko"]
    assert told["hard"]

    run = workspace.decide(second["id"], "approve").run  # somebody has looked, and wants it all the same
    assert (house.orders, run.status) == (["tea"], "done")


def test_an_approved_call_of_a_tool_that_was_withdrawn_meanwhile_does_not_run(house: House, tmp_path: Path) -> None:
    path = accepted(stdio(tmp_path))
    workspace = house(path, wants())
    [review] = workspace.ask("Order two of tea").reviews
    withdraw(path, ["shop"])
    run = workspace.decide(review["id"], "approve").run
    assert house.orders == []
    assert "done" not in [outcome["status"] for outcome in run.outcomes]
    accepted(path)
    assert "shop_place_order" in workspace.parts.tool_names()


def test_a_tool_that_changed_is_asked_about_whatever_a_signed_rule_lets_pass(house: House, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[rule]]\nid = "tea"\ntext = "Tea is ordered freely."\ntext_ko = "차는 그냥 주문합니다."\non = "call"\n'
        'tool = "shop_place_order"\noutcome = "auto"\nsigned_by = "Kim"\n',
        "utf-8",
    )
    path = accepted(stdio(tmp_path))
    lines = [wants(), says("One."), wants(), says("Two.")]
    generator = Script(lines)
    with workspace_for(tmp_path / "home", house.dsn, generator=generator, mcp=path, policy=policy) as workspace:
        assert workspace.ask("Order tea").status == "done"
        (tmp_path / "changed").touch()
        run = workspace.ask("Order tea again")
    assert (run.status, house.orders) == ("paused", ["tea"])
    assert run.reviews[0]["why"][0]["rule_id"] == "default.drift"


def test_a_server_that_died_in_a_call_leaves_a_question_to_a_person(house: House, tmp_path: Path) -> None:
    path = accepted(stdio(tmp_path, PROBED))
    workspace = house(path, wants({"item": "crash", "quantity": 1}))
    run = workspace.ask("Order a crash")
    with pytest.raises(OutcomeUnknown):
        workspace.decide(run.reviews[0]["id"], "approve")
    assert house.orders == ["crash"]

    (tmp_path / "changed").touch()  # and by now it is not even the same tool
    run = house(path).resume(run.thread_id)
    [doubt] = run.reviews
    assert (doubt["kind"], house.orders) == ("in_doubt", ["crash"]), "nothing was tried a second time"
    assert "answer" in doubt["allowed"], "the tool can be looked up"
    run = house(path).look_up(doubt["id"]).run
    assert [outcome["status"] for outcome in run.outcomes] == ["done"]
    assert house.orders == ["crash"]


def test_an_effect_that_its_server_does_once_is_tried_again_with_its_key(house: House, tmp_path: Path) -> None:
    path = accepted(stdio(tmp_path, ONCE))
    workspace = house(path, wants({"item": "crash", "quantity": 1}))
    run = workspace.ask("Order a crash")
    with pytest.raises(OutcomeUnknown):
        workspace.decide(run.reviews[0]["id"], "approve")
    with pytest.raises(OutcomeUnknown):
        house(path).resume(run.thread_id)
    lines = (tmp_path / "orders.txt").read_text("utf-8").splitlines()
    assert (len(lines), len(set(lines))) == (2, 1), "the same key both times: the server knows it again"
    (tmp_path / "changed").touch()
    assert house(path).resume(run.thread_id).reviews[0]["kind"] == "in_doubt", "another tool need not know the key"


@pytest.mark.skipif(sys.platform == "win32", reason="the socket is handed to the child as a file descriptor")
def test_a_server_that_is_down_when_a_pause_is_over_loses_nothing(house: House, tmp_path: Path) -> None:
    server = Listening(tmp_path)
    try:
        path = accepted(http(tmp_path, server.port))
        workspace = house(path, wants())
        run = workspace.ask("Order two of tea")
        server.kill()
        with pytest.raises(ServerDown, match="MCP server shop does not answer"):
            workspace.decide(run.reviews[0]["id"], "approve")
        hello = says("Hello.", abstained=True)
        assert house(path, hello).ask("And now?").status == "done", "there is still somebody to talk to"
        server = Listening(tmp_path, server.port)
        run = house(path).resume(run.thread_id)
        assert (run.status, house.orders) == ("done", ["tea"])
        server.kill()
        down = http(tmp_path, server.port, more="required = true")
        with pytest.raises(PassingFault, match="it is required: nothing was asked"):
            house(down).ask("And now?")
    finally:
        server.kill()
