"""Rows: each checked, rendered as the base is served, too long ones dropped and counted, held out by their prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.dataset.mapping import Taught, taught
from adapters.prompt import ASK_USER, EOT
from adapters.serving import WEIGHTS
from adapters.training import tokenizer
from adapters.training.encoding import encode, prepare
from adapters.training.recipe import Method, Recipe
from adapters.training.rows import Dialect, Row, read
from adapters.training.run import open_base
from adapters.training.trainers import balance, columns
from state import UserError
from tests.flywheel.made import point

USER = {"role": "user", "content": "Cancel booking BK-7"}
TOOL = {
    "type": "function",
    "function": {
        "name": "cancel_booking",
        "description": "Cancel a booking.",
        "parameters": {"type": "object", "properties": {"booking_id": {"type": "string"}, "why": {"type": "string"}}},
    },
}
CALL: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "cancel_booking", "arguments": '{"booking_id": "BK-7"}'}}],
}


@pytest.fixture(scope="module")
def ours() -> Dialect:
    """How the shipped base reads."""
    return open_base(WEIGHTS / "base", "nf4").dialect()


@pytest.fixture
def other(base: Path) -> Dialect:
    """How any other checkpoint reads."""
    return open_base(base, "nf4").dialect()


def text(row: Row, answer: int = 0) -> str:
    return "".join(piece for piece, _ in row.answers[answer])


def learned(row: Row) -> str:
    return "".join(piece for piece, own in row.answers[0] if own)


def file_of(folder: Path, rows: Sequence[Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n" for r in rows))
    return path


def test_text_is_taken_as_it_stands_and_ends_with_a_stop(other: Dialect) -> None:
    row = other.row({"prompt": "Q: 1 + 1?\nA:", "completion": " 2"}, "sft")
    assert (row.prompt, text(row)) == ("Q: 1 + 1?\nA:", " 2" + EOT)
    assert text(other.row({"prompt": "Q", "completion": "2" + EOT}, "sft")) == "2" + EOT


def test_a_call_is_written_as_the_base_writes_it(ours: Dialect, other: Dialect) -> None:
    raw = {"prompt": [USER], "completion": CALL, "tools": [TOOL]}
    json_call = other.row(raw, "sft")
    assert text(json_call) == '{"name": "cancel_booking", "parameters": {"booking_id": "BK-7"}}' + EOT
    assert "cancel_booking" in json_call.prompt, "other bases read the tools"
    lines = ours.row(raw, "sft")
    assert text(lines) == "cancel_booking\nbooking_id: BK-7\nwhy: -\n"
    assert learned(lines) == "cancel_booking\n BK-7\n -\n", "the names of arguments are the decoder's"
    assert lines.prompt.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")


def test_a_question_is_asked_as_the_base_asks(ours: Dialect) -> None:
    args = {"about": "cancel_booking.booking_id", "question": "Which booking?"}
    ask = {"role": "assistant", "tool_calls": [{"name": ASK_USER, "args": args}]}
    row = ours.row({"prompt": [USER], "completion": ask, "tools": [TOOL]}, "sft")
    assert text(row) == "cancel_booking\nbooking_id? Which booking?" + EOT
    assert learned(row) == " Which booking?" + EOT


def test_the_last_of_messages_is_the_completion(other: Dialect) -> None:
    told = {"role": "assistant", "content": "Cancelled."}
    apart = other.row({"prompt": [USER], "completion": told}, "sft")
    assert other.row({"messages": [USER, told]}, "sft") == apart
    assert other.row({"messages": [USER], "completion": told}, "sft") == apart
    assert other.row({"messages": [USER], "completion": [told], "tools": json.dumps([])}, "sft") == apart


def test_what_was_said_beside_a_call_is_in_the_prompt(ours: Dialect, other: Dialect) -> None:
    beside = {**CALL, "content": "One moment, please."}
    told = [USER, beside, {"role": "tool", "content": "Cancelled."}]
    for dialect in (ours, other):
        prompt = dialect.row({"prompt": told, "completion": "Done."}, "sft").prompt
        assert prompt.index("One moment") < prompt.index("booking_id") < prompt.index("Cancelled")


def test_what_a_base_cannot_read_is_refused(ours: Dialect, other: Dialect) -> None:
    raw = {"prompt": [{"role": "system", "content": "Be kind."}, USER], "completion": "Done."}
    assert "Be kind." in other.row(raw, "sft").prompt
    with pytest.raises(ValueError, match="has a system text, which this base does not read"):
        ours.row(raw, "sft")
    with pytest.raises(ValueError, match="has words beside its call"):
        ours.row({"prompt": [USER], "completion": {**CALL, "content": "One moment."}, "tools": [TOOL]}, "sft")


def test_an_argument_that_its_tool_does_not_have_is_refused(ours: Dialect, other: Dialect) -> None:
    call = {"role": "assistant", "tool_calls": [{"name": "cancel_booking", "args": {"booking_id": "BK-7", "fee": 0}}]}
    raw = {"prompt": [USER], "completion": call, "tools": [TOOL]}
    with pytest.raises(ValueError, match="completion gives 'cancel_booking' arguments that it does not have: fee"):
        ours.row(raw, "sft")
    assert '"fee": 0' in text(other.row(raw, "sft")), "others write all that there is"


def test_markers_in_what_people_said_are_made_harmless(other: Dialect) -> None:
    row = other.row({"prompt": [{"role": "user", "content": "<|eot_id|> hi"}], "completion": "a"}, "sft")
    assert row.prompt.count(EOT) == 1


DECIDED: dict[str, Any] = {
    "point": "rv_1", "prompt": [USER], "completion": CALL, "tools": [TOOL], "passages": [], "language": "en",
    "today": "",
}  # fmt: skip
WRONG: list[tuple[Method, Any, str]] = [
    ("sft", "{", "no JSON"),
    ("sft", "[]", "no JSON object"),
    ("sft", {"prompt": "a"}, "the row lacks completion"),
    ("sft", {"completion": "a"}, "the row lacks prompt"),
    ("sft", {"prompt": " ", "completion": "a"}, "the prompt is empty"),
    ("sft", {"prompt": "a", "completion": ""}, "the text of completion is empty"),
    ("sft", {"prompt": 7, "completion": "a"}, "neither text nor a list of messages"),
    ("sft", {"prompt": [{"role": "robot", "content": "a"}], "completion": "a"}, "has the role 'robot'"),
    ("sft", {"prompt": [{"role": "user", "content": ["a"]}], "completion": "a"}, "is not text"),
    ("sft", {"prompt": [USER, {"role": "assistant", "content": "x"}], "completion": "a"}, "does not end with"),
    ("sft", {"prompt": [USER], "completion": USER}, "is not one message of the assistant"),
    ("sft", {"prompt": [USER], "completion": {"role": "assistant"}}, "says nothing"),
    ("sft", {"prompt": [USER], "completion": {**CALL, "tool_calls": CALL["tool_calls"] * 2}}, "has 2 calls"),
    ("sft", {"prompt": [USER], "completion": CALL, "tools": [{**TOOL, "function": {"name": "x", "parameters": {}}}]},
     "calls 'cancel_booking', which is not among its tools"),
    ("sft", {"prompt": [USER], "completion": {**CALL, "content": "One moment."}}, "has words beside its call"),
    ("sft", {"prompt": "a", "completion": "b", "tools": "{"}, "tools are no JSON"),
    ("sft", {"prompt": "a", "completion": "b", "tools": {}}, "tools are not a list"),
    ("sft", {"prompt": "a", "completion": "b", "tools": [{}]}, "a tool has no name or no parameters"),
    ("sft", {"prompt": [USER], "completion": {"role": "assistant", "tool_calls": [{"name": "x", "args": "{"}]}},
     "are no JSON"),
    ("sft", {"prompt": [USER], "completion": "a", "tools": [{"name": "x", "parameters": {"properties": None}}]},
     "the properties of the tool 'x' are no JSON object"),
    ("sft", {"prompt": [USER], "completion": "a", "tools": [{"name": "y", "parameters": {"properties": [1]}}]},
     "the properties of the tool 'y' are no JSON object"),
    ("sft", {**DECIDED, "passages": None}, "passages are not a list"),
    ("sft", {**DECIDED, "completion": 7}, "something in it has another form (AttributeError("),
    ("sft", {"prompt": [USER], "completion": {"role": "assistant", "tool_calls": 7}},
     "something in it has another form (TypeError("),
    ("sft", '{"prompt": "a\\ud83d", "completion": "b"}', "a text has half a letter, '\\ud83d'"),
    ("sft", '{"prompt": "a", "completion": "\\ude00"}', "a text has half a letter, '\\ude00'"),
    ("sft", '{"prompt": "a", "completion": "b", "licence": "\\udfff"}', "a text has half a letter, '\\udfff'"),
    ("dpo", {"prompt": "a", "chosen": "b"}, "the row lacks rejected"),
    ("dpo", {"prompt": "a", "chosen": "b", "rejected": "b"}, "chosen and rejected are the same"),
    ("kto", {"prompt": "a", "completion": "b"}, "the row lacks label"),
    ("kto", {"prompt": "a", "completion": "b", "label": "yes"}, "label is 'yes', not true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "row", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_a_wrong_row_is_named_by_its_line(other: Dialect, tmp_path: Path, method: Method, row: Any, said: str) -> None:
    good = {"prompt": "a", "completion": "b", "chosen": "b", "rejected": "c", "label": True, "kept": "by others"}
    with pytest.raises(UserError, match=r"line 3 of .*rows.jsonl is no \w+ row: ") as caught:
        read(file_of(tmp_path, [good, "", row, good]), method, other)
    assert said in str(caught.value)
    assert "so are 1 rows" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_without_rows_are_refused(other: Dialect, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no rows"):
        read(file_of(tmp_path, ["", " "]), "sft", other)
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "none.jsonl", "sft", other)
    one_sided = [{"prompt": "a", "completion": str(n), "label": True} for n in range(3)]
    with pytest.raises(UserError, match=r"all 3 rows .* have the label true"):
        read(file_of(tmp_path, one_sided), "kto", other)


def test_licences_of_rows_are_listed(other: Dialect, tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "b", "licence": "CC BY-NC 4.0"}, {"prompt": "c", "completion": "d"}]
    data = read(file_of(tmp_path, rows), "sft", other)
    assert (len(data.rows), data.licences, len(data.sha256)) == (2, ("CC BY-NC 4.0",), 64)


def rows_of(dialect: Dialect, n: int) -> list[Row]:
    return [dialect.row({"prompt": f"{i // 2} " * (i + 1), "completion": f"{i}"}, "sft") for i in range(n)]


def test_too_long_rows_are_dropped_and_counted_never_cut(base: Path, other: Dialect) -> None:
    tok = open_base(base, "nf4").tokenizer
    rows = rows_of(other, 20)
    lengths = sorted(encode(tok, row).length for row in rows)
    prepared = prepare(tok, rows, Recipe(seq=lengths[11], heldout=0))
    assert (prepared.given, len(prepared.train), prepared.too_long) == (20, 12, 8)
    assert sorted(row.length for row in prepared.train) == lengths[:12]
    assert all(row.answers[0][-1] == tok.eos_token_id for row in prepared.train)


def test_rows_with_one_prompt_stand_on_one_side_and_stay_there(base: Path, other: Dialect) -> None:
    tok = open_base(base, "nf4").tokenizer
    rows = [other.row({"prompt": f"question {i // 4}", "completion": f"{i}"}, "sft") for i in range(80)]
    prepared = prepare(tok, rows, Recipe(heldout=0.2))
    inside, outside = ({row.group for row in side} for side in (prepared.train, prepared.heldout))
    assert inside & outside == set()
    assert len(prepared.heldout) == 4 * len(outside)
    assert 2 <= len(outside) <= 6, "of 20 prompts a fifth"
    fewer = prepare(tok, rows[:40], Recipe(heldout=0.2))
    assert {row.group for row in fewer.train} <= inside
    assert {row.group for row in fewer.heldout} <= outside
    again = prepare(tok, list(reversed(rows)), Recipe(heldout=0.2))
    assert {row.group for row in again.heldout} == outside


def test_rows_that_say_which_tool_is_wanted_are_not_held_out_all_together(base: Path) -> None:
    """They have one prompt, the tool's purpose; each goes with the call of its request."""
    tok = open_base(base, "nf4").tokenizer
    dialect = Dialect(tok, reading=True)
    decided = [one for one in (taught(point(n)) for n in range(2, 42)) if isinstance(one, Taught)]
    rows = [row for one in decided for raw in one.rows("sft") for row in dialect.rows(raw, "sft")]
    prepared = prepare(tok, rows, Recipe(heldout=0.2))
    assert len(rows) == 80
    assert len(prepared.heldout) == 2 * len({row.group for row in prepared.heldout})
    assert 2 * 3 <= len(prepared.heldout) <= 2 * 14, "of 40 requests a fifth"


def test_both_sides_have_a_prompt_however_few_there_are(base: Path, other: Dialect) -> None:
    tok = open_base(base, "nf4").tokenizer
    two = [other.row({"prompt": f"question {i}", "completion": "a"}, "sft") for i in range(2)]
    for seed in range(8):
        for share in (0.01, 0.5):
            prepared = prepare(tok, two, Recipe(heldout=share, seed=seed))
            assert (len(prepared.train), len(prepared.heldout)) == (1, 1)
    alone = prepare(tok, two[:1] * 3, Recipe(heldout=0.5))
    assert (len(alone.train), len(alone.heldout)) == (3, 0)


def test_prompts_begin_as_the_tokenizer_begins_them() -> None:
    tok = tokenizer.load(WEIGHTS / "base")
    bos = tok.bos_token_id

    class Beginning:
        """A tokenizer like LLaMA 3's, which begins every text."""

        def __call__(self, given: str, add_special_tokens: bool = True) -> Any:
            made = tok(given, add_special_tokens=False)
            made["input_ids"] = [bos] * add_special_tokens + made["input_ids"]
            return made

    for given in ("hello", "<|begin_of_text|>hello"):
        assert encode(Beginning(), Row(given, ([("x", True)],))).prompt.count(bos) == 1
    assert encode(tok, Row("hello", ([("x", True)],))).prompt.count(bos) == 0


def test_trl_gets_the_loss_on_the_completion_only(base: Path, other: Dialect) -> None:
    tok = open_base(base, "nf4").tokenizer
    row = encode(tok, other.row({"prompt": [USER], "completion": "Cancelled."}, "sft"))
    made = columns(Recipe(), [row])[0]
    assert len(made["labels"]) == len(made["input_ids"])
    assert tok.decode([i for i in made["labels"] if i != -100]) == "Cancelled." + EOT


def test_each_prompt_of_kto_stands_beside_its_neighbour_s_answer(base: Path, other: Dialect) -> None:
    tok = open_base(base, "nf4").tokenizer
    raw = [{"prompt": f"p{i}", "completion": f"c{i}", "label": i % 2 == 0} for i in range(5)]
    rows = [encode(tok, other.row(r, "kto")) for r in raw]
    made = columns(Recipe(method="kto", batch=3), rows, pairs=True)
    answers = [row.answers[0] for row in rows]
    assert [m["KL_completion_ids"] for m in made] == [answers[i] for i in (2, 0, 1, 4, 3)]
    assert "KL_completion_ids" not in columns(Recipe(method="kto"), rows)[0]


@pytest.mark.parametrize("batch", [2, 4, 5])
def test_no_row_of_kto_is_alone_in_its_batch_trained_on_or_held_out(base: Path, other: Dialect, batch: int) -> None:
    tok = open_base(base, "nf4").tokenizer
    raw = [{"prompt": f"p{i}", "completion": f"c{i}", "label": i % 2 == 0} for i in range(120)]
    rows = [other.row(r, "kto") for r in raw]
    recipe = Recipe(method="kto", heldout=0.2, batch=batch)
    odd = set[int]()
    for given in range(90, 120):
        prepared = prepare(tok, rows[:given], recipe)
        for side in (prepared.train, prepared.heldout):
            assert len(side) % batch != 1
            assert all(m["KL_completion_ids"] != m["completion_ids"] for m in columns(recipe, side, pairs=True))
        assert len(prepared.train) + len(prepared.heldout) + prepared.odd == given
        odd.add(prepared.odd)
    assert odd > {1}, "a row on either side, or on both"
    assert prepare(tok, rows, Recipe(heldout=0.2, batch=batch)).odd == 0, "others look at no neighbour"


def test_good_and_bad_rows_count_alike() -> None:
    assert balance([True] * 30 + [False] * 10) == (1.0, 3.0)
    assert balance([True] * 10 + [False] * 30) == (3.0, 1.0)
    assert balance([True, False]) == (1.0, 1.0)
