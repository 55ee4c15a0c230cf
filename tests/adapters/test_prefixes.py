"""The kept heads of prompts: found again by adapter and tokens, bounded, and never a reason for another answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.prefixes import LEAST_BYTES, MOST_BYTES, PrefixCache, limit_of
from tests.adapters.tiny import BOOK, CANCEL

RULES = SystemMessage("Answer politely and only from the documents. 정중하게, 문서에 있는 내용만 답하십시오. " * 3)


@pytest.fixture
def fresh(engine: Engine) -> Engine:
    return Engine(engine.local)


def ask(engine: Engine, text: str, adapter: str | None = None, tools: bool = True) -> Any:
    chat: Any = ChatLlama(engine=engine, adapter=adapter, max_tokens=12)
    chat = chat.bind_tools([BOOK, CANCEL]) if tools else chat
    said = chat.invoke([RULES, HumanMessage(text)])
    return said.content, [(c["name"], c["args"]) for c in said.tool_calls], said.usage_metadata


def test_the_head_is_read_once_for_each_adapter(fresh: Engine) -> None:
    for adapter in (None, "red", "blue"):
        for n in range(3):
            ask(fresh, f"남산스테이 {n}명", adapter)
    assert (fresh.prefixes.misses, fresh.prefixes.hits, len(fresh.prefixes)) == (3, 6, 3)
    ask(fresh, "남산스테이 1명", tools=False)
    assert fresh.prefixes.misses == 4, "other tools are another head"


def test_a_kept_head_saves_the_reading(fresh: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = fresh._run

    def counted(rows: Any, *args: Any, **options: Any) -> Any:
        read.append(rows.shape[1])
        return whole(rows, *args, **options)

    monkeypatch.setattr(fresh, "_run", counted)
    ask(fresh, "남산스테이 2명")
    first = sum(read)
    read.clear()
    ask(fresh, "남산스테이 2명")
    assert sum(read) < first / 2


def test_the_logits_are_the_same_to_the_bit_whether_kept_or_not(fresh: Engine) -> None:
    ids = fresh.encode("규칙: 정중하게. " * 12 + "남산스테이 2명")
    cold = fresh.read(ids, adapter="red", head=60)
    warm = fresh.read(ids, adapter="red", head=60)
    assert fresh.prefixes.hits == 1
    assert (cold.logits == warm.logits).all()
    assert [s for s in fresh.generate(cold, max_tokens=9)] == [s for s in fresh.generate(warm, max_tokens=9)]
    again = fresh.read(ids, adapter="red", head=60)
    assert (again.logits == fresh.read(ids, adapter="red", head=60).logits).all(), "decoding wrote nothing into it"


def test_replies_do_not_depend_on_what_was_asked_before(engine: Engine, fresh: Engine) -> None:
    texts = [f"남산스테이에 {n}명 예약" for n in range(5)]
    cold = [ask(Engine(engine.local), text) for text in texts]
    assert [ask(fresh, text) for text in texts] == cold
    assert [ask(fresh, text) for text in reversed(texts)] == cold[::-1]


def test_it_is_bounded_and_the_least_recently_used_go(fresh: Engine) -> None:
    ids = fresh.encode("규칙 " * 60)
    one = fresh.read(ids[:40], adapter=None).cache
    size = sum(t.numel() * t.element_size() for layer in one.layers for t in (layer.keys, layer.values))
    cache = PrefixCache(limit=2 * size)
    for n in range(3):
        cache.put(None, [n], one)
        cache.get(None, [0])
    assert cache.held == 2 * size
    assert cache.get(None, [0]) is not None
    assert cache.get(None, [1]) is None
    assert cache.get("red", [0]) is None
    small = PrefixCache(limit=size - 1)
    small.put(None, [0], one)
    assert len(small) == 0


def test_many_threads_at_once(fresh: Engine, engine: Engine) -> None:
    texts = [(f"남산스테이 {n % 4}명", (None, "red", "blue")[n % 3]) for n in range(24)]
    alone = {each: ask(Engine(engine.local), *each) for each in dict.fromkeys(texts)}
    start = threading.Barrier(8)

    def speak(part: list[tuple[str, str | None]]) -> None:
        start.wait()
        for each in part:
            assert ask(fresh, *each) == alone[each]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, [texts[n::8] for n in range(8)]))
    assert len(fresh.prefixes) == 3


def test_the_bound_follows_what_is_free() -> None:
    assert [limit_of(0), limit_of(10 * LEAST_BYTES + 50), limit_of(2**40)] == [LEAST_BYTES, LEAST_BYTES + 5, MOST_BYTES]
