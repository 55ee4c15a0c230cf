"""Exports in the form of other tools: TRL's trainers read theirs; the others have the shape that their pages give."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from adapters.dataset.exports import TOOLS, export, methods_of, settings_of
from adapters.dataset.mapping import Taught, taught
from adapters.dataset.points import Point
from adapters.speakers.endpoint import offered_tools, system_prompt
from state import UserError
from tests.adapters.families import save_llama3
from tests.flywheel.made import BREAKFAST, cites, point
from tests.flywheel.made import TOOLS as OFFERED
from tests.graph.parts import passage

TOLD = "Breakfast is from 7 to 10."
POINTS = [
    point(1),
    point(2, "reject", tool="cancel_booking", args={"booking_id": "BK-2"}),
    point(3, "edit", edited={"hotel": "Han River", "guests": 3}),
    point(4, text=f"{TOLD} [1]"),
    point(5, "answer", clarification="Which hotel?", about="book_room.hotel"),
]


def longer() -> Point:
    """A point in the middle of a conversation: two calls, their results, two messages of one person."""
    given: Any = point(6)
    call = {"id": "c", "type": "function", "function": {"name": "cancel_booking", "arguments": {"booking_id": "BK-1"}}}
    given["messages"] = [
        {"role": "user", "content": "cancel both"},
        {"role": "assistant", "content": "One moment."},
        {"role": "assistant", "content": "", "tool_calls": [call, {**call, "id": "d"}]},
        {"role": "tool", "content": "BK-1 is cancelled", "tool_call_id": "c"},
        {"role": "tool", "content": "BK-1 was cancelled", "tool_call_id": "d"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "now"},
        {"role": "user", "content": "book one"},
    ]
    made: Point = given
    return made


def rows(method: str, points: list[Point] | None = None) -> list[Any]:
    found = [one for one in map(taught, points or POINTS) if isinstance(one, Taught)]
    return [row for one in found for row in one.rows(method)]


def lines(tool: str, method: str, points: list[Point] | None = None) -> list[Any]:
    return export(tool, method, rows(method, points))


# --------------------------------------------------------------------------------------------------------------- TRL


@pytest.fixture(scope="module")
def llama3(tmp_path_factory: pytest.TempPathFactory) -> str:
    import torch

    torch.set_num_threads(1)
    return str(save_llama3(tmp_path_factory.mktemp("llama3") / "base"))


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_trls_own_trainers_read_theirs(method: str, llama3: str, tmp_path: Path) -> None:
    import trl
    from datasets import load_dataset
    from transformers import AutoTokenizer

    path = tmp_path / f"{method}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines("trl", method)), encoding="utf-8")
    data = load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train")
    assert list(data) == lines("trl", method)  # arrow mixes no call's arguments with another's
    tokenizer = AutoTokenizer.from_pretrained(llama3)
    config, trainer = getattr(trl, f"{method.upper()}Config"), getattr(trl, f"{method.upper()}Trainer")
    more = {} if method == "sft" else {"precompute_ref_log_probs": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        args = config(
            output_dir=str(tmp_path / "out"), report_to="none", max_length=None, use_cpu=True, dataset_num_proc=None,
            per_device_train_batch_size=2, bf16=False, **more,
        )  # fmt: skip
        made = trainer(model=llama3, args=args, train_dataset=data, processing_class=tokenizer)
    got = list(made.train_dataset)
    assert len(got) == len(rows(method))
    ids = next(value for key, value in got[0].items() if key in ("input_ids", "prompt_ids", "prompt_input_ids"))
    text = tokenizer.decode(ids)
    assert '"name": "ask_user"' in text
    assert "Use only what the numbered passages" in text
    assert TOLD in text


# -------------------------------------------------------------------------------------------------------- the others


def test_the_system_text_is_what_an_endpoint_is_sent() -> None:
    line = lines("openai", "sft")[0]
    assert line["messages"][0] == {"role": "system", "content": system_prompt([BREAKFAST], "en", "")}
    assert line["messages"][0]["content"].startswith("Answer in English.")  # nobody was told the day
    assert system_prompt([], "ko", "2026-11-22").startswith("오늘은 2026-11-22입니다. 한국어로 답하십시오.")
    assert line["tools"] == offered_tools(OFFERED)
    assert [m["role"] for m in line["messages"]] == ["system", "user", "assistant"]


def test_openai_has_arguments_as_text_and_pairs_side_by_side() -> None:
    call = lines("openai", "sft")[0]["messages"][-1]["tool_calls"][0]
    assert (call["type"], json.loads(call["function"]["arguments"])["guests"]) == ("function", 1)
    [pair] = lines("openai", "dpo")
    assert set(pair) == {"input", "preferred_output", "non_preferred_output"}
    assert set(pair["input"]) == {"messages", "tools", "parallel_tool_calls"}
    assert "Han River" in pair["preferred_output"][0]["tool_calls"][0]["function"]["arguments"]
    for turn in [m for line in lines("openai", "sft", [longer()]) for m in line["messages"]]:
        assert all(isinstance(c["function"]["arguments"], str) for c in turn.get("tool_calls") or [])
    with pytest.raises(UserError, match="openai has no form for kto"):
        export("openai", "kto", rows("kto"))


def test_llama_factory_has_two_sides_in_turn_and_roles_for_tools() -> None:
    [line] = lines("llama-factory", "sft", [longer()])
    turns = [turn["from"] for turn in line["conversations"]]
    assert turns == ["human", "function_call", "observation", "gpt", "human", "function_call"]
    assert [t in ("human", "observation") for t in turns] == [n % 2 == 0 for n in range(len(turns))]
    assert line["conversations"][2]["value"] == "BK-1 is cancelled\nBK-1 was cancelled"
    assert [c["name"] for c in json.loads(line["conversations"][1]["value"])] == ["cancel_booking"] * 2
    assert json.loads(line["conversations"][-1]["value"])["arguments"] == {"hotel": "Namsan Stay", "guests": 6}
    assert [tool["name"] for tool in json.loads(line["tools"])] == ["book_room", "cancel_booking", "ask_user"]
    [pair] = lines("llama-factory", "dpo")
    assert (pair["chosen"]["from"], pair["conversations"][-1]["from"]) == ("function_call", "human")
    assert [line["kto_tag"] for line in lines("llama-factory", "kto")] == [True, False, False, True]
    name, told = settings_of("llama-factory", ["sft", "dpo", "kto"])
    info = json.loads(told)
    assert name == "dataset_info.json"
    assert (info["dojang_dpo"]["ranking"], info["dojang_kto"]["columns"]["kto_tag"]) == (True, "kto_tag")
    assert all(set(about["columns"].values()) <= set(lines("llama-factory", m)[0]) for m, about in
               (("sft", info["dojang_sft"]), ("dpo", info["dojang_dpo"]), ("kto", info["dojang_kto"])))  # fmt: skip


def test_axolotl_trains_on_the_last_turn_only() -> None:
    yaml = pytest.importorskip("yaml")
    [line] = lines("axolotl", "sft", [longer()])
    assert [m["train"] for m in line["messages"]] == [False] * 9 + [True]
    [pair] = lines("axolotl", "dpo")
    assert json.loads(pair["chosen"]["content"])["parameters"]["hotel"] == "Han River"
    bad = lines("axolotl", "kto")[1]
    assert set(bad) == {"system", "prompt", "completion", "label"}
    assert (bad["label"], "cancel_booking" in bad["completion"]) == (False, True)
    for method in ("sft", "dpo", "kto"):
        [how] = yaml.safe_load(settings_of("axolotl", [method])[1])["datasets"]
        fields = [how[k] for k in how if k.startswith("field_")]
        fields += [v for k, v in how["type"].items() if k.startswith("field_")] if isinstance(how["type"], dict) else []
        assert set(fields) <= set(lines("axolotl", method)[0])
    assert how["type"]["prompt_format"] == "{system}\n\n{prompt}"  # Axolotl leaves out what the format does not name


def test_numbers_in_an_answer_are_those_of_the_passages() -> None:
    passages = [passage("Pets", id="p0"), BREAKFAST]
    given: Any = point(1, text=f"{TOLD} [1] Pets stay outside. [2] As told. [3]", passages=passages)
    given["prompt"]["said"]["citations"] = [cites(n=1), cites("Pets", 2, "p0"), cites("told", 3, "tool:c")]
    said = lines("trl", "sft", [given])[0]["completion"][0]["content"]
    assert said == f"{TOLD} [2] Pets stay outside. [1] As told."


@pytest.mark.parametrize("tool", TOOLS)
def test_every_form_is_one_json_object_a_row(tool: str) -> None:
    for method in methods_of(tool):
        made = lines(tool, method, [*POINTS, longer()])
        assert len(made) == len(rows(method, [*POINTS, longer()]))
        keys = {frozenset(line) for line in made}
        assert len(keys) == 1
        assert json.loads(json.dumps(made)) == made


def test_a_text_format_keeps_what_was_said_beside_a_call() -> None:
    given: Any = longer()
    given["messages"][2]["content"] = "I cancel them."
    [line] = [one for one in lines("axolotl", "kto", [given]) if "cancel both" in one["prompt"]]
    assert 'I cancel them.\n{"name": "cancel_booking"' in line["prompt"]
