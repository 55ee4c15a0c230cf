"""Who speaks: new conversations begin with the champion, old ones go on with theirs, and nobody speaks for one gone."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from adapters.errors import AdapterGone, AdapterNotUsable
from adapters.local.loading import fingerprint
from adapters.registry.aliases import Registry
from adapters.registry.folders import DamagedAdapter
from dojang.flywheel.voices import Voices, in_share, kept_as
from dojang.parts import Parts
from dojang.runs import kept_adapter
from dojang.settings import Settings
from dojang.workspace import Workspace
from graph import AgentGraph
from nodes.generate import generate
from state import UserError
from tests.adapters.tiny import lora
from tests.databases import NOT_NEEDED, SESSIONS, database_of, use_database
from tests.dojang.workspaces import settings_for
from tests.flywheel.promotions import adapters, crown, front
from tests.graph.conftest import graph
from tests.graph.parts import FixedClock, deps, says

__all__ = ["graph"]  # a fixture


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def desk(at: Path) -> Iterator[Workspace]:
    with front(at) as workspace:
        yield workspace


def speaker(desk: Workspace, thread_id: str) -> str:
    return desk.thread(thread_id).spent[-1]["speaker"]


def voices(at: Path, **others: Any) -> Any:
    """Whoever speaks says only under which name."""
    settings: Settings = settings_for(at, NOT_NEEDED, **others)
    named: Any = lambda name: f"named {name}"  # noqa: E731
    return Voices(settings, lambda: "default", lambda name, folder: f"{name} of {folder}", named)  # type: ignore[arg-type,return-value]


# ---------------------------------------------------------------------------------------------------- what is kept


def test_new_conversations_begin_with_the_champion_and_old_ones_go_on_with_theirs(desk: Workspace, at: Path) -> None:
    before = desk.ask("hi").thread_id
    assert (desk.thread(before).adapter, speaker(desk, before)) == ("", "rehearsed@none")
    first, second = adapters(at, 1, 2)
    crown(at, first)
    old = desk.ask("hi").thread_id
    crown(at, second, seen=first)  # while this workspace is open: a server is not started anew
    new = desk.ask("hi").thread_id
    for thread, kept in ((before, ""), (old, first), (new, second)):
        assert desk.ask("hi again", thread_id=thread).adapter == kept
        assert [row["speaker"] for row in desk.thread(thread).spent] == [f"rehearsed@{kept or 'none'}"]
    assert {row["thread_id"]: row["adapter"] for row in desk.threads()} == {before: "", old: first, new: second}


def test_a_conversation_keeps_its_adapter_in_another_process_in_a_copy_and_when_a_decision_goes_on(
    desk: Workspace, at: Path
) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    waits = desk.ask("book").reviews[0]
    crown(at, second, seen=first)
    desk.parts.saver.copy_thread(waits["thread_id"], "copy")
    with front(at) as other:
        run = other.decide(waits["id"], "approve", by="lee").run
        assert (run.status, run.adapter, speaker(other, run.thread_id)) == ("done", first, f"rehearsed@{first}")
        assert run.answer is not None
        assert run.answer["speaker"] == f"rehearsed@{first}"
        assert other.thread("copy").adapter == first
    moved = at.with_name("moved")
    if SESSIONS == "postgres":
        use_database(moved, database_of(at))
    else:
        shutil.copytree(at / "threads", moved / "threads")
    with front(moved) as elsewhere, pytest.raises(AdapterGone, match=f"adapter {first} is not in the registry"):
        elsewhere.ask("hi", thread_id=waits["thread_id"])


def test_an_adapter_that_is_gone_speaks_again_when_it_is_back_and_nobody_in_its_place(at: Path) -> None:
    [only] = adapters(at, 1)
    crown(at, only)
    with front(at) as desk:
        waits = desk.ask("book").reviews[0]
    place, aside = at / "registry" / "adapters" / only, at / "aside"
    place.rename(aside)
    with front(at) as desk:
        for refused in (lambda: desk.decide(waits["id"], "approve", by="lee"), lambda: desk.ask("hi")):
            with pytest.raises(AdapterGone, match="put it back with `dojang adapters add DIR`"):
                refused()
        assert desk.parts.decisions.of(waits["thread_id"]) == {}
        assert Registry(at / "registry").add(aside)["id"] == only
        assert desk.decide(waits["id"], "approve", by="lee").run.status == "done"
    manifest = place / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_text("{}", encoding="utf-8")
    with front(at) as desk, pytest.raises(DamagedAdapter):
        desk.ask("hi", thread_id=waits["thread_id"])


def test_one_conversation_whose_adapter_is_gone_keeps_no_other_waiting(at: Path) -> None:
    clock = FixedClock()
    with front(at, clock=clock) as desk:
        late = desk.ask("book").thread_id
        crown(at, *adapters(at, 1))
        lost = desk.ask("book").thread_id
        clock.at += timedelta(days=30)
    shutil.rmtree(at / "registry")
    with front(at, clock=clock) as desk:
        done = desk.do_due()
    assert ([run.thread_id for run in done.runs], len(done.expired)) == ([late], 2)
    assert lost not in [run.thread_id for run in done.runs]


def test_in_a_langgraph_server_threads_keep_their_adapter_too(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    from dojang import studio
    from dojang.speaking import Speaking

    first, second = adapters(at, 1, 2)
    crown(at, first)
    with front(at) as desk:
        speaking, loaded = Speaking(desk.parts), list[str]()
        real = desk.parts.generator_beside

        def beside(name: str, folder: Path) -> Any:
            loaded.append(name)
            return real(name, folder)

        monkeypatch.setattr(desk.parts, "generator_beside", beside)
        monkeypatch.setattr(studio, "_speaking", lambda: speaking)
        served = studio.graph.copy({"checkpointer": InMemorySaver()})
        config: Any = {"configurable": {"thread_id": "th_studio"}}
        served.invoke({"messages": [HumanMessage("book", id="h1")]}, config)
        crown(at, second, seen=first)
        [waits] = served.get_state(config).interrupts
        served.invoke(Command(resume={waits.id: {"type": "approve", "by": "lee"}}), config)
        state = served.get_state(config).values
    assert (state["adapter"], [row["speaker"] for row in state["spent"]]) == (first, [f"rehearsed@{first}"])
    assert loaded == [first]  # the door knows it, too


def test_a_first_run_that_is_killed_before_intake_keeps_what_it_was_begun_with(desk: Workspace, at: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    with pytest.raises(UserError, match="no text"):  # as far as a run gets that dies in its first node
        desk._runs.start("th_cut", {"messages": [HumanMessage(" ", id="h")]}, None)
    crown(at, second, seen=first)
    state = desk._runs.state("th_cut")
    assert ("adapter" in state.values, kept_adapter(state)) == (False, first)
    assert desk._runs.deps(state).adapter == first


def test_a_conversation_of_an_older_version_gets_what_new_ones_get_and_keeps_it() -> None:
    from types import SimpleNamespace

    ports = replace(deps(says("A"), says("B")), adapter="a1")
    runtime: Any = SimpleNamespace(context=ports, execution_info=None)
    state: Any = {"messages": [HumanMessage("hi", id="h")], "language": "en"}
    assert generate(state, runtime)["adapter"] == "a1"
    kept: Any = {**state, "adapter": ""}
    assert "adapter" not in generate(kept, runtime)


def test_whatever_ports_a_later_turn_has_the_state_says_what_was_kept(graph: AgentGraph) -> None:
    for adapter, text in (("a1", "one?"), ("b2", "two?")):
        ports = replace(deps(says("Yes.")), adapter=adapter)
        kept = graph.invoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": "t"}}, context=ports)
        assert (kept["answer"]["text"], graph.get_state({"configurable": {"thread_id": "t"}}).values["adapter"]) == (
            "Yes.", "a1",
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- who begins


def test_the_settings_say_who_begins(at: Path, tmp_path: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    Registry(at / "registry").nominate(second, seen=None, by="kim", reason="trained")
    folder = lora(tmp_path / "desk.2", 7)
    kept = f"{folder}#{fingerprint(folder)}"
    wanted = {
        None: first, "champion": first, "candidate": second, second[:5]: second, "frontdesk": "", str(folder): kept,
        "night": kept,
    }  # fmt: skip
    named = {"night": str(folder)}
    assert {name: voices(at, adapter=name, adapters=named).begin("th") for name in wanted} == wanted
    with pytest.raises(AdapterNotUsable, match=f"no adapter 'x1': .*known: night, .*{second}.*correct DOJANG_ADAPTER"):
        voices(at, adapter="x1", adapters=named).begin("th")
    found = voices(at)
    assert found.speaker("") == "default"
    assert found.speaker(second) == f"{second} of {at / 'registry' / 'adapters' / second}"
    assert found.speaker(kept) == f"desk-2 of {folder}"
    shutil.rmtree(folder)
    lora(folder, 8)
    assert kept_as(folder) != kept
    with pytest.raises(AdapterGone, match=r"not in .*desk\.2 any more"):
        voices(at).speaker(kept)


def test_parts_without_a_conversation_speak_with_the_one_of_the_settings(
    at: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [only] = adapters(at, 1)
    folder = lora(tmp_path / "desk.2", 7)
    for name in ("generator_of_model", "generator_beside", "generator_named"):
        told = property(lambda self: "model") if name == "generator_of_model" else lambda self, *given: given
        monkeypatch.setattr(Parts, name, told)
    place = at / "registry" / "adapters" / only
    wanted = {None: "model", "frontdesk": "model", str(folder): ("desk-2", folder), only: (only, place)}
    spoken: Any = {name: Parts(settings_for(at, NOT_NEEDED, adapter=name)).generator for name in wanted}
    assert spoken == wanted
    served = settings_for(at, NOT_NEEDED, model="openai:m", model_base_url="http://127.0.0.1:1/v1", adapter="night")
    assert cast(Any, Parts(served).generator) == ("night",)


def test_a_champion_of_another_base_serves_nobody(at: Path) -> None:
    [other] = adapters(at, 1, base="b" * 16)
    crown(at, other)
    assert voices(at).begin("th") == ""
    with pytest.raises(AdapterNotUsable, match="another base"):
        voices(at, adapter="champion").begin("th")
    assert voices(at.with_name("empty")).begin("th") == ""
    with pytest.raises(AdapterNotUsable, match="no adapter is champion yet"):
        voices(at.with_name("empty"), adapter="champion").begin("th")


def test_an_endpoint_has_adapters_of_its_own(at: Path) -> None:
    [only] = adapters(at, 1)
    crown(at, only)
    served = {"model": "openai:m", "model_base_url": "http://127.0.0.1:1/v1"}
    wanted = {None: "", "night": "night", "champion": only, "candidate": "candidate"}
    assert {name: voices(at, adapter=name, **served).begin("th") for name in wanted} == wanted
    assert voices(at, **served).speaker("night") == "named night"


def test_many_who_want_one_adapter_at_once_load_it_once(at: Path) -> None:
    [only] = adapters(at, 1)
    loaded: list[str] = []
    asked = threading.Event()

    def beside(name: str, folder: Path) -> Any:
        loaded.append(name)
        asked.wait(60)  # the others come meanwhile
        return object()

    found = Voices(settings_for(at, NOT_NEEDED), object, beside, object)  # type: ignore[arg-type]
    begun = threading.Semaphore(0)

    def speaks(_: int) -> Any:
        begun.release()
        return found.speaker(only)

    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(speaks, n) for n in range(8)]
        for _ in made:
            begun.acquire()
        asked.set()
    assert (len({one.result() for one in made}), loaded) == (1, [only])


# ------------------------------------------------------------------------------------------------------------ canary


def test_a_share_of_new_conversations_begins_with_the_candidate(at: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    Registry(at / "registry").nominate(second, seen=None, by="kim", reason="trained")
    threads = [f"th_{n:04x}" for n in range(400)]
    some, every = voices(at, canary=0.25), voices(at, canary=1)
    begun = [some.begin(thread) for thread in threads]
    assert begun == [some.begin(thread) for thread in threads]
    assert set(begun) == {first, second}
    assert 60 < begun.count(second) < 140
    assert {every.begin(thread) for thread in threads} == {second}
    assert voices(at, canary=1, adapter="frontdesk").begin("th") == ""
    shutil.move(at / "registry" / "adapters" / second, at / "aside")
    assert every.begin("th") == first  # a candidate that is gone begins nothing


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_greater_share_holds_the_smaller_one(thread: str, one: float, other: float) -> None:
    assert in_share(thread, 1)
    assert not in_share(thread, 0)
    assert in_share(thread, min(one, other)) <= in_share(thread, max(one, other))
