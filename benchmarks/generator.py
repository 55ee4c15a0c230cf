"""The local chat model beside plain ``transformers.generate`` and ``ChatHuggingFace``, on the same weights in this run.

Run: ``python benchmarks/generator.py [--model FOLDER] [--quantization nf4|int8|bf16|fp32] [--rounds N]``. Without
``--model`` it is the base that ships. What is compared takes turns, each figure is a median over the rounds, and stands
in CPU time of this process beside wall time, because the machine may have other work. End tokens are ignored
everywhere, so that all say equally much. langchain-huggingface is no dependency of ours: it is put into a folder of its
own for the run, and left out, with the reason, where that does not work.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # bitsandbytes compiles at import otherwise

from langchain_core.messages import HumanMessage, SystemMessage

from adapters.forms.offers import tool_spec
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.loading import LocalModel, load_local
from adapters.local.templates import conversation
from adapters.serving import WEIGHTS

PEER = "langchain-huggingface==1.2.3"
TOKENS = 64
ROWS = 8
RULES = "Answer politely, briefly and only from the documents. 정중하고 짧게, 문서에 있는 내용만 답하십시오. "
ASK = "남산스테이에 12월 3일부터 2박, 2명 예약해 주세요. Book a room at Namsan Stay for Emma Lee."


def tool(n: int) -> dict[str, Any]:
    """A tool with as many arguments as those of the sample have."""
    names = ("hotel", "guest", "check_in", "check_out", "room_type", "note")
    return {
        "name": f"tool_{n}",
        "description": "Books a room in one of our hotels for a guest who said when.",
        "parameters": {
            "type": "object",
            "properties": {**{name: {"type": "string"} for name in names}, "guests": {"type": "integer"}},
            "required": ["hotel", "guest", "guests"],
        },
    }


TOOLS = [tool_spec(tool(n)) for n in range(6)]


class Clock:
    """CPU and wall milliseconds of the rounds, by what was measured."""

    def __init__(self) -> None:
        self.cpu: dict[str, list[float]] = {}
        self.wall: dict[str, list[float]] = {}

    def measure(self, name: str, work: Callable[[], Any], *, per: int = 1) -> None:
        """Time one piece of work; ``per`` divides it into units."""
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        self.cpu.setdefault(name, []).append((time.process_time() - cpu) * 1000 / per)
        self.wall.setdefault(name, []).append((time.perf_counter() - wall) * 1000 / per)

    def rows(self) -> Iterator[tuple[str, float, float]]:
        """(name, CPU ms, wall ms), medians."""
        for name, values in self.cpu.items():
            yield name, statistics.median(values), statistics.median(self.wall[name])


def endless(local: LocalModel) -> Engine:
    """An engine that ignores end tokens."""
    engine = Engine(dataclasses.replace(local, stop_ids=()))
    engine.matchers = Engine(local).matchers  # a grammar has to know what an end is
    return engine


def speaking(engine: Engine, local: LocalModel, rounds: int) -> Clock:
    """Tokens one after another, and the first one: ours, and transformers' own loop."""
    import torch

    chat = ChatLlama(engine=engine, max_tokens=TOKENS)
    prompt = conversation(local.tokenizer, [HumanMessage(ASK)], [])
    ids = torch.tensor([engine.encode(prompt)], device=local.device)
    mask = torch.ones_like(ids)
    pad = local.tokenizer.pad_token_id or 0

    def plain(count: int) -> None:
        said = local.model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, min_new_tokens=count, max_new_tokens=count,
            pad_token_id=pad,
        )  # fmt: skip
        assert said.shape[1] == ids.shape[1] + count

    def ours() -> None:
        said = chat.invoke([HumanMessage(ASK)])
        assert said.usage_metadata is not None
        assert said.usage_metadata["output_tokens"] == TOKENS

    clock = Clock()
    for _ in range(rounds):
        clock.measure("a token: ours", ours, per=TOKENS)
        clock.measure("a token: transformers.generate", lambda: plain(TOKENS), per=TOKENS)
        clock.measure("first token: ours", lambda: next(iter(chat.stream([HumanMessage(ASK)]))))
        clock.measure("first token: transformers.generate", lambda: plain(1))
    return clock


def heads(engine: Engine, rounds: int) -> Clock:
    """The first token after a long system text and six tools, read anew and kept."""
    chat: Any = ChatLlama(engine=engine, max_tokens=TOKENS).bind_tools(TOOLS, tool_choice="none")
    messages = [SystemMessage(RULES * 12), HumanMessage(ASK)]
    clock = Clock()
    for _ in range(rounds):
        engine.prefixes = type(engine.prefixes)()
        clock.measure("first token, long head: read anew", lambda: next(iter(chat.stream(messages))))
        clock.measure("first token, long head: kept", lambda: next(iter(chat.stream(messages))))
    assert engine.prefixes.hits == 1
    return clock


def grammars(engine: Engine, rounds: int) -> Clock:
    """The same number of free tokens with and without a mask, and what compiling a turn's grammar takes."""
    ids = engine.encode(ASK)
    free = r"start: /(.|\n){4000,5000}/"

    def say(grammar: str | None) -> Callable[[], None]:
        prefix = engine.read(ids, adapter=None)
        return lambda: [None for _ in engine.generate(prefix, grammar=grammar, max_tokens=TOKENS)] and None

    clock = Clock()
    engine.matchers.fresh(free)
    for _ in range(rounds):
        for name, grammar in (("free", None), ("under a grammar", free)):
            clock.measure(f"a token: {name}", say(grammar), per=TOKENS)
        compiling(clock, engine, [f"{ASK} {time.perf_counter_ns()}"])
    return clock


def compiling(clock: Clock, engine: Engine, texts: list[str]) -> None:
    """A turn's grammar for words that were never seen."""
    from adapters.forms.grammar import turn_grammar

    made: list[str] = []
    clock.measure(
        "grammar of six tools: written", lambda: made.append(turn_grammar(TOOLS, forms=["call"], texts=texts))
    )
    clock.measure("grammar of six tools: compiled", lambda: engine.matchers.fresh(made[0]))
    clock.measure("grammar of six tools: kept", lambda: engine.matchers.fresh(made[0]))


def switching(engine: Engine, adapters: list[str], rounds: int) -> Clock:
    """One short pass with the same adapter as before, and with another one."""
    ids = engine.encode("hi")
    clock = Clock()
    for _ in range(rounds):
        for name in adapters:
            engine.read(ids, adapter=name)
            clock.measure("a pass: same adapter", lambda: engine.read(ids, adapter=name))  # noqa: B023
            other = adapters[(adapters.index(name) + 1) % len(adapters)]
            clock.measure("a pass: another adapter", lambda: engine.read(ids, adapter=other))  # noqa: B023
            clock.measure("a pass: the base alone after it", lambda: engine.read(ids, adapter=None))
    return clock


def batches(engine: Engine, rounds: int) -> Clock:
    """Eight replies one after another, and together."""
    chat = ChatLlama(engine=engine, max_tokens=TOKENS)
    asks: list[Any] = [f"{ASK} {n * '그리고 조식도요. '}" for n in range(ROWS)]
    clock = Clock()
    for _ in range(rounds):
        clock.measure(f"a token: {ROWS} one by one", lambda: [chat.invoke(ask) for ask in asks], per=TOKENS * ROWS)
        clock.measure(f"a token: {ROWS} together", lambda: chat.batch(asks), per=TOKENS * ROWS)
    return clock


def peer(model: Path, quantization: str, rounds: int) -> None:
    """ChatHuggingFace in a process of its own, or why it is left out."""
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, PEER]
        made = subprocess.run(install, check=False, capture_output=True, text=True)
        if made.returncode:
            print(f"ChatHuggingFace is left out: {PEER} does not install ({made.stderr.strip().splitlines()[-1:]})")
            return
        paths = os.pathsep.join([folder, str(Path(__file__).parents[1])])
        told = [sys.executable, __file__, "--peer", str(model), "--quantization", quantization, "--rounds", str(rounds)]
        run = subprocess.run(told, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
        print(run.stdout.strip() or f"ChatHuggingFace is left out: {run.stderr.strip().splitlines()[-1:]}")


def speak_as_peer(model: str, quantization: str, rounds: int) -> None:
    """Inside that process: the same prompt, the same number of tokens."""
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
    from transformers import pipeline

    local = load_local(model, quantization=quantization)
    warnings.simplefilter("ignore")
    options = {"do_sample": False, "min_new_tokens": TOKENS, "max_new_tokens": TOKENS, "return_full_text": False}
    made = pipeline("text-generation", model=local.model, tokenizer=local.tokenizer, **options)  # type: ignore[call-overload]
    chat = ChatHuggingFace(llm=HuggingFacePipeline(pipeline=made), tokenizer=local.tokenizer)
    messages = [HumanMessage(ASK)]
    clock = Clock()
    chat.invoke(messages)
    for _ in range(rounds):
        clock.measure("a token: ChatHuggingFace", lambda: chat.invoke(messages), per=TOKENS)
        clock.measure("first piece: ChatHuggingFace", lambda: next(iter(chat.stream(messages))))
    show(clock)
    bound: Any = chat.bind_tools([tool(0)])
    print(f"{'tool calls of a reply with tools: ChatHuggingFace':44} {len(bound.invoke(messages).tool_calls):8}")


def show(clock: Clock) -> None:
    """The rows of a table."""
    for name, cpu, wall in clock.rows():
        print(f"{name:44} {cpu:8.2f} {wall:8.2f}")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=WEIGHTS / "base")
    parser.add_argument("--quantization", default="nf4")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    if given.peer:
        speak_as_peer(given.peer, given.quantization, given.rounds)
        return
    shipped = given.model == WEIGHTS / "base"
    folders = {name: WEIGHTS / "frontdesk" for name in ("first", "second")} if shipped else {}
    local = load_local(given.model, quantization=given.quantization)
    engine = endless(local)
    print(f"{local.name}, {given.quantization} on {local.device}; milliseconds, medians of {given.rounds}")
    print(f"{'':44} {'CPU':>8} {'wall':>8}")
    for clock in (speaking(engine, local, given.rounds), heads(engine, given.rounds), grammars(engine, given.rounds)):
        show(clock)
    show(batches(engine, given.rounds))
    if folders:
        with_adapters = Engine(load_local(given.model, adapters=folders, quantization=given.quantization))
        show(switching(with_adapters, list(folders), given.rounds))
    peer(given.model, given.quantization, given.rounds)


if __name__ == "__main__":
    main()
