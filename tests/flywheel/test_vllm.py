"""A registry that a vLLM server serves: adapters are there before a name moves to them, and again after a restart.

The server is on a real socket and speaks vLLM's protocol (``tests.adapters.openai_server``); it is not vLLM.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from adapters.dataset import folder as datasets
from adapters.dataset.building import Choices, build
from adapters.errors import AdapterGone, EndpointFault, EndpointRefused
from adapters.gate.report import read_report
from adapters.registry.aliases import Registry
from adapters.registry.folders import DamagedAdapter
from adapters.registry.vllm import VllmServer
from adapters.speakers.remote import endpoint_chat
from dojang.doctor import _champion
from dojang.flywheel.gating import evaluate_against
from dojang.flywheel.promoting import propose, roll_back
from dojang.parts import Parts
from dojang.served import putting_back, registry_of
from dojang.settings import BadSetting, Settings
from dojang.speaking import Speaking
from dojang.workspace import Workspace
from tests.adapters.openai_server import Script, Vllm, serve
from tests.adapters.tiny import lora
from tests.databases import NOT_NEEDED
from tests.dojang.workspaces import settings_for
from tests.flywheel.made import ARGS
from tests.flywheel.promotions import adapters, crown, report
from tests.flywheel.test_gating import POINTS, trained
from tests.graph.parts import Shelf, Toys

KEY = "sk-never-shown"
AWAY = "http://127.0.0.1:9/v1"  # the port of the discard protocol, on which nothing of ours listens


class ServedParts(Parts):
    """The real parts, the endpoint's model among them, but for documents and tools."""

    @cached_property
    def store(self) -> Any:
        return Shelf([])

    @cached_property
    def toolbox(self) -> Any:
        return Toys()


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def server(at: Path) -> Iterator[Script]:
    """A server that has the registry mounted at /adapters."""
    with serve() as script:
        script.vllm = Vllm(mounted={"/adapters": at / "registry" / "adapters"}, api_key=KEY)
        yield script


def vllm(server: Script) -> Vllm:
    assert server.vllm is not None
    return server.vllm


def settings(at: Path, server: Script, **others: Any) -> Settings:
    given = {
        "model": "openai:toy", "model_base_url": server.url, "model_api_key": KEY, "model_retries": 0,
        "model_server": "vllm", "model_server_adapters": "/adapters", **others,
    }  # fmt: skip
    return settings_for(at, NOT_NEEDED, **given)


def desk(at: Path, server: Script, **others: Any) -> Workspace:
    given = settings(at, server, **others)
    return Workspace(given, parts=ServedParts(given))


def talk(workspace: Workspace, thread_id: str | None = None) -> str:
    """A turn, its uncited answer approved; the thread."""
    run = workspace.ask("When is breakfast?", thread_id=thread_id)
    for review in run.reviews:
        workspace.decide(review["id"], "approve", by="lee")
    return run.thread_id


def aliases(at: Path) -> dict[str, str]:
    return Registry(at / "registry").aliases()


def asked(server: Script, what: str) -> list[str]:
    return [name for route, name in vllm(server).asked if route == what]


# -------------------------------------------------------------------------------------------------- names that move


def test_a_promoted_adapter_is_loaded_first_and_old_conversations_keep_theirs(at: Path, server: Script) -> None:
    first, second = adapters(at, 1, 2)
    server.says("From 6:30.")
    with desk(at, server) as workspace:
        assert workspace.thread(talk(workspace)).adapter == ""
        for adapter, before in ((first, ""), (second, first)):
            [review] = propose(workspace, adapter, report(at, adapter, before), "better").reviews
            loaded = set(vllm(server).loaded)
            assert adapter not in loaded, "nothing is loaded for what nobody has approved"
            done = workspace.decide(review["id"], "approve", by="lee").run
            assert [outcome["status"] for outcome in done.outcomes] == ["done"]
            assert set(vllm(server).loaded) - loaded == {adapter}
            if not before:
                old = talk(workspace)
        new = talk(workspace)
        talk(workspace, old)
        assert [workspace.thread(thread).adapter for thread in (old, new)] == [first, second]
        assert workspace.thread(old).spent[-1]["speaker"] == first
    assert asked(server, "chat") == ["toy", first, second, first]
    assert vllm(server).loaded[second] == f"/adapters/{second}", "where the server sees it, not where we do"
    assert asked(server, "load") == [first, second]


def test_back_again_also_where_the_server_has_forgotten_everything(at: Path, server: Script) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    crown(at, second, seen=first)
    with desk(at, server) as workspace:
        roll_back(workspace.parts, "it answers too late")
    assert (aliases(at)["champion"], list(vllm(server).loaded)) == (first, [first])


def spoiled(change: str) -> Callable[[Vllm], None]:
    def change_it(vllm: Vllm) -> None:
        name, _, value = change.partition("=")
        made: Any = {"max_lora_rank": int, "fails": str, "api_key": str}.get(name, lambda v: v == "1")(value)
        setattr(vllm, name, made)

    return change_it


WHY_NOT: list[tuple[Callable[[Vllm], None], str]] = [
    (spoiled("max_lora_rank=1"), r"has rank 2, and \S+ takes 1 at most; start vLLM with --max-lora-rank 2"),
    (spoiled("updating=0"), "takes no adapters while it runs; start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME"),
    (spoiled("enable_lora=0"), "serves no adapters; start vLLM with --enable-lora"),
    (spoiled("fails=No free lora slots"), "has no room for adapter .* --max-loras"),
    (spoiled("fails=bad shape, and sk-never-shown"), r"did not take adapter \w+ \(HTTP 500\): bad shape, and …"),
    (spoiled("api_key=another"), "refused the API key"),
    (lambda vllm: vllm.mounted.clear(), "finds no adapter at /adapters/.* DOJANG_MODEL_SERVER_ADAPTERS"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "why"), WHY_NOT)
def test_what_the_server_cannot_have_leaves_every_name_where_it_was(
    at: Path, server: Script, spoil: Callable[[Vllm], None], why: str
) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    crown(at, second, seen=first)
    spoil(vllm(server))
    registry, before = registry_of(settings(at, server)), aliases(at)
    changes: list[Callable[[], object]] = [
        lambda: registry.rollback(by="kim", reason="back"),
        lambda: registry.nominate(first, seen=None, by="kim", reason="try"),
        lambda: registry.promote(first, seen=second, by="kim", reason="better"),
    ]
    for change in changes:
        with pytest.raises(EndpointRefused, match=why) as refused:
            change()
        assert KEY not in str(refused.value)
        assert (aliases(at), len(registry.log.read())) == (before, 2)


def test_a_server_that_is_away_stops_an_approved_promotion_until_it_is_back(at: Path, server: Script) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    with desk(at, server) as workspace:
        [review] = propose(workspace, second, report(at, second, first), "better").reviews
    with desk(at, server, model_base_url=AWAY) as workspace:
        with pytest.raises(EndpointFault, match="cannot be reached"):
            workspace.decide(review["id"], "approve", by="lee")
        assert aliases(at)["champion"] == first
    with desk(at, server) as workspace:
        done = workspace.resume(review["thread_id"])
    assert ([o["status"] for o in done.outcomes], aliases(at)["champion"]) == (["done"], second)
    assert list(vllm(server).loaded) == [second]


def test_an_approved_promotion_that_the_server_refuses_has_failed_and_says_why(at: Path, server: Script) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    with desk(at, server) as workspace:
        [review] = propose(workspace, second, report(at, second, first), "better").reviews
        vllm(server).max_lora_rank = 1
        done = workspace.decide(review["id"], "approve", by="lee").run
    assert (done.outcomes[0]["status"], aliases(at)["champion"]) == ("failed", first)
    assert "--max-lora-rank 2" in done.outcomes[0]["error"]


def test_what_was_changed_on_the_disk_is_given_to_nobody(at: Path, server: Script) -> None:
    [only] = adapters(at, 1)
    manifest = at / "registry" / "adapters" / only / "manifest.json"
    manifest.parent.chmod(0o700)
    manifest.chmod(0o600)
    manifest.write_text("{}")
    with pytest.raises(DamagedAdapter):
        registry_of(settings(at, server)).serve(only)
    assert vllm(server).asked == []


def test_the_gate_has_both_loaded_before_it_asks(at: Path, server: Script) -> None:
    made = build(POINTS[:20], choices=Choices(), find=lambda text: [], pseudonym=lambda name: f"#{name}")
    dataset = datasets.write(made, at / "datasets").name
    registry = Registry(at / "registry")
    first = registry.add(lora(at.parent / "first", 7, base="c" * 16))["id"]
    crown(at, first)
    server.calls("book_room", json.dumps(ARGS))
    candidate = trained(at, base="c" * 16, dataset=dataset)
    path = evaluate_against(Parts(settings(at, server)), candidate, dataset=dataset)
    told = read_report(path.parent, path.stem)
    asks = vllm(server).asked
    assert asks[:2] == [("load", told["candidate"]), ("load", first)]
    assert told["against"] == first
    assert {name for route, name in asks[2:]} == {told["candidate"], first, "toy"}
    assert {route for route, name in asks[2:]} == {"chat"}
    vllm(server).max_lora_rank = 1
    vllm(server).restarted()
    with pytest.raises(EndpointRefused, match="has rank 2"):
        evaluate_against(Parts(settings(at, server)), candidate, dataset=dataset)


# ------------------------------------------------------------------------------------------------ who speaks, and how


def chat_of(at: Path, server: Script, adapter: str) -> Any:
    return endpoint_chat(
        "toy", server.url, adapter=adapter, api_key=KEY, max_retries=0, put_back=putting_back(settings(at, server))
    )


async def _collected(chat: Any) -> str:
    return "".join([piece.text async for piece in chat.astream("hi")])


WAYS: dict[str, Callable[[Any], str]] = {
    "invoke": lambda chat: str(chat.invoke("hi").text),
    "ainvoke": lambda chat: str(asyncio.run(chat.ainvoke("hi")).text),
    "stream": lambda chat: "".join(piece.text for piece in chat.stream("hi")),
    "astream": lambda chat: asyncio.run(_collected(chat)),
    "bound": lambda chat: str(chat.model_copy(update={"adapter": None}).bind(adapter=chat.adapter).invoke("hi").text),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_restarted_server_is_given_the_adapter_again_and_the_call_is_answered(
    at: Path, server: Script, way: str
) -> None:
    [only] = adapters(at, 1)
    server.says("From 6:30.")
    chat = chat_of(at, server, only)
    assert WAYS[way](chat) == "From 6:30."
    vllm(server).restarted()
    assert WAYS[way](chat) == "From 6:30."
    once = [("chat", only), ("load", only), ("chat", only)]
    assert vllm(server).asked == once * 2, "asked, loaded once, asked again; no further attempt was allowed"


def test_a_name_that_the_registry_does_not_have_is_not_looked_for(at: Path, server: Script) -> None:
    with pytest.raises(EndpointRefused, match="does not know this model"):
        chat_of(at, server, "night-shift").invoke("hi")
    assert asked(server, "load") == []


def test_what_is_forgotten_at_once_again_is_an_error_and_no_loop(at: Path, server: Script) -> None:
    [only] = adapters(at, 1)
    chat = endpoint_chat("toy", server.url, adapter=only, api_key=KEY, max_retries=0, put_back=lambda name: True)
    with pytest.raises(EndpointRefused, match="does not know this model"):
        chat.invoke("hi")
    assert vllm(server).asked == [("chat", only)] * 2
    shutil.rmtree(at / "registry" / "adapters")
    with pytest.raises(EndpointRefused):
        chat_of(at, server, only).invoke("hi")
    vllm(server).mounted.clear()
    [only] = adapters(at, 1)
    with pytest.raises(EndpointRefused, match="finds no adapter at"):
        chat_of(at, server, only).invoke("hi")


def test_a_second_load_of_one_name_is_no_mistake(at: Path, server: Script) -> None:
    [only] = adapters(at, 1)
    there = VllmServer(server.url, "/adapters", KEY)
    there.load(only)
    there.load(only)  # another process was first
    assert there.loaded() == ["toy", only]
    there.unload(only)
    there.unload(only)
    VllmServer(AWAY, "/adapters").unload(only)
    assert there.loaded() == ["toy"]


def test_candidates_aliases_and_names_of_the_operator(at: Path, server: Script) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    registry_of(settings(at, server)).nominate(second, seen=None, by="kim", reason="try")
    assert list(vllm(server).loaded) == [second]

    def voices(**others: Any) -> Any:
        return Speaking(Parts(settings(at, server, **others))).voices

    wanted = {None: first, "champion": first, "candidate": second, second: second, "night-shift": "night-shift"}
    assert {name: voices(adapter=name).begin("th") for name in wanted} == wanted
    assert voices(canary=1).begin("th") == second
    assert voices().candidate() == second
    assert voices().speaker("night-shift").chat.adapter == "night-shift"
    with pytest.raises(AdapterGone):
        voices().speaker("0" * 16)
    server.says("I was loaded.")
    speaks = voices(canary=1).speaker(second)
    assert speaks.reply([HumanMessage("hi")], passages=[], tools=[], language="en")["speaker"] == second


def test_what_is_deleted_here_is_forgotten_there(at: Path, server: Script) -> None:
    first, second = adapters(at, 1, 2)
    registry = registry_of(settings(at, server))
    registry.serve(first)
    registry.serve(second)
    crown(at, first)
    assert list(registry.gc()) == [second]
    assert list(vllm(server).loaded) == [first]


def test_the_doctor_says_whether_the_champion_is_there(at: Path, server: Script) -> None:
    [only] = adapters(at, 1)
    crown(at, only)
    assert _champion(Parts(settings(at, server))) == (True, f"{only}, loaded at the endpoint", "")
    vllm(server).restarted()
    vllm(server).max_lora_rank = 1
    with pytest.raises(EndpointRefused, match="has rank 2"):
        _champion(Parts(settings(at, server)))


def test_a_server_has_a_url(at: Path) -> None:
    given = settings_for(at, NOT_NEEDED, model="openai:toy", model_server="vllm")
    with pytest.raises(BadSetting, match="DOJANG_MODEL_BASE_URL"):
        registry_of(given)
