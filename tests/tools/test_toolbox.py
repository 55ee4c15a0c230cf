"""Adding tools: what a declaration means, and what its absence means."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from langchain_core.tools import StructuredTool, tool

from nodes import ports
from state import UserError
from tests.tools.conftest import TODAY
from tools.effects import InWorld, effect, spec_of
from tools.errors import OutcomeUnknown, ToolFailed
from tools.loading import load_tools
from tools.toolbox import Toolbox


@tool
def plain(text: str) -> str:
    """Say it back."""
    return text


def test_a_tool_without_declaration_counts_as_irreversible() -> None:
    (spec,) = Toolbox([plain]).offered()
    assert (spec["effect_class"], spec["recovery"], spec["reversible"]) == ("irreversible", "at_most_once", False)
    assert Toolbox([plain]).describe("plain", {"text": "가"}, "ko") == 'plain 실행: text="가" (되돌릴 수 없음).'
    assert Toolbox([plain]).describe("plain", {}, "en") == "Run plain with no arguments; this cannot be undone."
    assert Toolbox([plain]).run("plain", {"text": "x"}, key="k") == "x"


def test_metadata_of_a_foreign_server_is_no_declaration() -> None:
    claims = {"dojang": {"effect_class": "read", "recovery": "idempotent", "reversible": True}}
    foreign = StructuredTool(
        name="f", description="d", args_schema={"type": "object", "properties": {}}, func=lambda: 1, metadata=claims
    )
    assert Toolbox([foreign]).offered()[0]["effect_class"] == "irreversible"


def test_one_decorated_function_is_a_tool(desk: Toolbox, postgres_dsn: str) -> None:
    @effect(
        "write",
        recovery="transactional",
        reversible=True,
        ko="메모를 남깁니다.",
        will={"ko": "{text} 메모를 남깁니다."},
    )
    def add_note(text: str, world: InWorld) -> dict[str, Any]:
        """Leave a note."""
        world.db.execute("create table if not exists notes (text text)")
        world.db.execute("insert into notes values (%s)", (text,))
        row = world.db.execute("select count(*) from notes").fetchone()
        return {"notes": row[0] if row else 0}

    box = Toolbox([add_note], dsn=postgres_dsn)
    (spec,) = box.offered()
    assert spec["parameters"]["properties"] == {"text": {"type": "string"}}
    assert (box.description("add_note", "ko"), box.description("add_note", "en")) == (
        "메모를 남깁니다.",
        "Leave a note.",
    )
    assert box.describe("add_note", {"text": "조식"}, "ko") == "조식 메모를 남깁니다."
    assert box.run("add_note", {"text": "a"}, key="1") == {"notes": 1}
    assert box.run("add_note", {"text": "a"}, key="1") == {"notes": 1}
    assert box.run("add_note", {"text": "a"}, key="2") == {"notes": 2}
    assert box.tell("add_note", {"notes": 2}, "en") == ['add_note returned {"notes": 2}.']


@pytest.mark.parametrize("lines", [[], [""], [" ", "\n"], ["\u200b"]])
def test_a_tool_that_tells_nothing_is_said_to_have_ended_without_a_word(lines: list[str]) -> None:
    @effect("read", tells={"en": lambda _: lines, "ko": lambda _: lines})
    def peek() -> list[str]:
        """Look."""
        return []

    box = Toolbox([peek])
    assert box.tell("peek", [], "en") == ["peek ended without a word."]
    assert box.tell("peek", [], "ko") == ["peek 도구가 아무 말 없이 끝났습니다."]


def test_a_declared_read_cannot_write(desk: Toolbox, postgres_dsn: str) -> None:
    @effect("read")
    def sly(world: InWorld) -> int:
        """Look."""
        world.db.execute("delete from hotels")
        return 1

    with pytest.raises(ToolFailed, match="ReadOnlySqlTransaction"):
        Toolbox([sly], dsn=postgres_dsn).run("sly", {}, key="")
    assert desk.run("search_hotels", {"city": "서울"}, key="")["hotels"]


def test_a_bug_in_a_transactional_tool_changes_nothing(desk: Toolbox, postgres_dsn: str) -> None:
    @effect("write", recovery="transactional")
    def buggy(world: InWorld) -> int:
        """Break."""
        world.db.execute("update rooms set count = 0")
        raise KeyError("oops")

    box = Toolbox([buggy], dsn=postgres_dsn)
    with pytest.raises(ToolFailed, match=r"^buggy failed and changed nothing \(KeyError: 'oops'\)\.$"):
        box.run("buggy", {}, key="k")
    assert box.settled("buggy", "k") is None
    assert desk.run("search_hotels", {"city": "서울"}, key="")["hotels"]


def test_a_foreign_tool_that_breaks_off_is_in_doubt() -> None:
    @tool
    def pay() -> None:
        """Pay."""
        raise TimeoutError("no answer")

    with pytest.raises(OutcomeUnknown, match=r"pay broke off under key k \(TimeoutError: no answer\)"):
        Toolbox([pay]).run("pay", {}, key="k")


async def test_an_async_tool_runs_even_where_a_loop_runs() -> None:
    async def later(n: int) -> int:
        return n + 1

    box = Toolbox([StructuredTool.from_function(coroutine=later, name="later", description="d")])
    assert box.run("later", {"n": 1}, key="k") == 2


def test_run_refuses_what_the_schema_refuses_without_coercing() -> None:
    box = Toolbox([plain])
    for args in ({}, {"text": 1}, {"text": "a", "more": 1}):
        with pytest.raises(ToolFailed, match=r"^plain was not run: "):
            box.run("plain", args, key="k")


def test_declarations_that_contradict_themselves() -> None:
    def nothing() -> None:
        """Do nothing."""

    def silent() -> None: ...

    with pytest.raises(UserError, match="irreversible and reversible"):
        effect("irreversible", reversible=True)(nothing)
    with pytest.raises(UserError, match=r"has no parameter 'world: InWorld'"):
        effect("write", recovery="transactional")(nothing)
    with pytest.raises(UserError, match="no docstring"):
        effect("read")(silent)
    with pytest.raises(UserError, match="two tools have the name 'plain'"):
        Toolbox([plain, plain])


def test_other_words_for_choices_are_told_and_do_not_make_another_tool() -> None:
    @tool
    def book(room: Literal["plain", "fine"], bed: Literal["one", "two"] | None = None) -> str:
        """Book a room."""
        return room

    words = {"room": {"보통": "plain", "고급": "fine"}, "bed": {"더블": "one"}}
    bare, spoken = spec_of(effect("write")(book)), spec_of(effect("write", synonyms=words)(book))
    properties: Any = spoken["parameters"]["properties"]
    assert {name: spec.pop("x-synonyms") for name, spec in properties.items()} == words
    assert spoken == bare, "its version too: what it does is the same"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"room": {"고급": "fine", "최고급": "finest"}}, r"none of its choices: 최고급; its choices are plain, fine$"),
        ({"text": {"고급": "fine"}}, r"argument 'text' .*: 고급; its choices are none$"),
        ({"nowhere": {"고급": "fine"}}, r"argument 'nowhere' .*: 고급; its choices are none$"),
        ({"open": {"고급": "fine"}}, r"argument 'open' .*: 고급; its choices are none$"),
    ],
)
def test_other_words_for_no_choice_are_refused(words: dict[str, dict[str, str]], message: str) -> None:
    def book(room: Literal["plain", "fine"], text: str, open: Any) -> str:
        """Book a room."""
        return f"{room}{text}{open}"

    with pytest.raises(UserError, match=message):
        effect("write", synonyms=words)(book)


def test_the_toolbox_fits_the_port(desk: Toolbox) -> None:
    port: ports.Toolbox = desk
    spec = port.offered()[0]
    assert set(spec) == {
        "name", "description", "parameters", "schema_version", "effect_class", "recovery", "reversible",
    }  # fmt: skip
    spec["name"] = "changed"
    assert port.offered()[0]["name"] == "search_hotels"


def test_the_names_and_parameters_that_the_model_knows() -> None:
    offered = {s["name"]: s["parameters"] for s in Toolbox.open(today=lambda: TODAY).offered()}
    signatures = {
        name: " ".join(key if key in p["required"] else f"{key}?" for key in p["properties"])
        for name, p in offered.items()
    }
    assert signatures == {
        "search_hotels": "city check_in? check_out? guests?",
        "book_room": "hotel guest check_in check_out guests room_type?",
        "cancel_booking": "booking_id reason?",
        "issue_refund": "booking_id amount reason?",
        "send_message": "to text",
        "find_booking": "booking_id",
    }


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("../evil.py", "'../evil.py' is no module name"),
        ("os; import sys", "is no module name"),
        ("tools.nowhere", "tool module 'tools.nowhere' cannot be loaded (ModuleNotFoundError"),
        ("tools.wording", "tool module 'tools.wording' has no tools"),
        ("tools.hotel, tools.hotel", "tool 'search_hotels' is in tools.hotel and in tools.hotel"),
    ],
)
def test_loading_refuses(spec: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_tools(spec)
    assert message in str(error.value)


def test_loading_a_module_that_breaks_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_tools_module.py").write_text("raise RuntimeError('no licence')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"'broken_tools_module' cannot be loaded \(RuntimeError: no licence\)"):
        load_tools("broken_tools_module")


def test_loading_takes_the_tools_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_tools_module")
    vars(module)["plain"] = plain
    monkeypatch.setitem(sys.modules, "my_tools_module", module)
    loaded = load_tools(["tools.hotel", "my_tools_module"])
    assert [len(part.tools) for part in loaded] == [6, 1]


@pytest.mark.parametrize("bad", [{"type": "obiect"}, {"required": "name"}, {"properties": {"day": {"default": TODAY}}}])
def test_a_schema_that_is_none_is_refused_each_time_it_is_offered(bad: dict[str, Any]) -> None:
    """What passed is not checked again; what did not is, beside one that passed."""
    good = {"type": "object", "properties": {"day": {"type": "string"}}}
    for schema in (good, bad, good, bad):
        made = StructuredTool(name="book", description="Books.", args_schema=schema, func=lambda **_: "done")
        if schema is good:
            assert Toolbox([made]).offered()[0]["parameters"]["properties"] == good["properties"]
            continue
        with pytest.raises(UserError, match=r"tool 'book' has an invalid argument schema \(.+\); mend the tool"):
            Toolbox([made])
