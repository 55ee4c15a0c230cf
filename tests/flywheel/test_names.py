"""Names of people in decisions: other ones stand for them, the same wherever they stand, and nothing else changes."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from adapters.dataset.building import Choices, build
from adapters.dataset.names import names_in, pattern
from adapters.dataset.points import Point
from adapters.training.naming import other
from state import ToolSpec
from tests.adapters.tiny import BOOK
from tests.flywheel.made import point
from tools.effects import Person, effect
from tools.toolbox import Toolbox


def marked(**properties: Any) -> list[ToolSpec]:
    """The tool with further arguments."""
    parameters = {**BOOK["parameters"], "properties": {**BOOK["parameters"]["properties"], **properties}}
    return [{**BOOK, "parameters": parameters}]


GUEST = marked(guest={"type": "string", "x-person": True})


def asked(n: int, request: str, guest: str, **how: Any) -> Point:
    return point(n, request=request, args={"hotel": "Namsan Stay", "guest": guest, "guests": 2}, tools=GUEST, **how)


def built(*points: Point, **choices: Any) -> Any:
    return build(
        list(points), choices=Choices(heldout=0.5, alike=1.0, **choices), find=lambda text: [],
        pseudonym=lambda name: f"#{name}", rename=lambda name: other(name, f"key {name}"),
    )  # fmt: skip


def text_of(row: Any) -> str:
    return str(row["prompt"][0]["content"])


def guest_of(message: Any) -> str:
    return str(message["tool_calls"][0]["function"]["arguments"]["guest"])


def test_a_name_is_another_one_in_the_request_in_the_call_and_in_every_row() -> None:
    first = asked(1, "Namsan Stay for Minsu Kim, 2 people; Kimberly is my sister", "Minsu Kim")
    second = asked(2, "남산 스테이 2명, 김민수입니다", "김민수")
    made = built(
        first, second, asked(3, "Minsu Kim again, Namsan Stay, 2", "Minsu Kim"), asked(4, "one more for Eva", "Eva")
    )
    whole = json.dumps([made.rows, made.heldout], ensure_ascii=False)
    assert not re.search(r"Minsu|\bKim\b|김민수|Eva", whole)
    english, korean = made.rows["sft"]
    name = guest_of(english["completion"])
    assert text_of(english) == f"Namsan Stay for {name}, 2 people; Kimberly is my sister"
    assert re.fullmatch(r"[A-Z][a-z]{4} [A-Z][a-z]{2}", name)
    assert text_of(korean) == f"남산 스테이 2명, {guest_of(korean['completion'])}입니다"
    assert guest_of(made.heldout[0]["said"]) == name  # the same person, also on the other side
    assert english["tools"][0]["function"]["parameters"] == GUEST[0]["parameters"]
    assert made.scrubbed > 0
    again = built(
        first, second, asked(3, "Minsu Kim again, Namsan Stay, 2", "Minsu Kim"), asked(4, "one more for Eva", "Eva")
    )
    assert again.rows == made.rows


def test_a_part_of_a_name_is_the_same_part_of_the_other() -> None:
    """What was proposed was cut short, what the person made of it is whole."""
    edited = asked(1, "Namsan Stay for Minsu Kim, 2", "Minsu", type="edit",
                   edited={"hotel": "Namsan Stay", "guest": "Minsu Kim", "guests": 2})  # fmt: skip
    made = built(edited, asked(2, "and one for 박서연님", "박서연"))
    [row] = made.rows["dpo"]
    whole, part = guest_of(row["chosen"]), guest_of(row["rejected"])
    assert (whole.split()[0], text_of(row)) == (part, f"Namsan Stay for {whole}, 2")
    [refused] = made.rows["kto"]
    assert guest_of(refused["completion"]) == part


def test_only_marked_arguments_are_names_and_a_setting_marks_them_too() -> None:
    plain = marked(guest={"type": "string"})
    given = [point(n, request=f"Namsan Stay for Minsu Kim, {n}", tools=plain,
                   args={"hotel": "Namsan Stay", "guest": "Minsu Kim", "guests": n}) for n in (1, 2)]  # fmt: skip
    assert "Minsu Kim" in json.dumps(built(*given).rows)
    made = built(*given, persons=("guest",))
    assert "Minsu" not in json.dumps([made.rows, made.heldout])
    assert "Namsan Stay" in text_of(made.rows["sft"][0])


def test_what_was_refused_may_be_no_name_at_all() -> None:
    refused = [
        asked(1, "a table for two at 7:30 pm", "a table", type="reject"),
        asked(2, "a table at 7:30 pm", "7:30 pm", type="reject"),
    ]
    made = built(*refused, asked(3, "a bed for Eva", "Eva"))
    assert [text_of(row) for row in made.rows["kto"]][:1] == ["a table for two at 7:30 pm"]
    named = asked(1, "a bed for Minsu Kim", "Minsu Kim", type="reject")
    assert "Minsu" not in json.dumps(built(named, asked(2, "a bed for Eva", "Eva")).rows)


@given(st.text(st.sampled_from("abzXY김민수가힣ñЖ -'7"), min_size=1, max_size=12), st.text(max_size=4))
def test_another_name_is_as_long_and_follows_from_its_seed(name: str, seed: str) -> None:
    made = other(name, seed)
    assert (len(made), made) == (len(name), other(name, seed))
    letters = re.compile(r"[^\W\d_]+")
    assert [m.span() for m in letters.finditer(made)] == [m.span() for m in letters.finditer(name)]
    assert all(a != b or a == "x" for a, b in zip(letters.findall(name), letters.findall(made), strict=True))


def test_particles_still_fit() -> None:
    for seed in range(40):
        assert ((ord(other("김민수", str(seed))[-1]) - 0xAC00) % 28 == 0) is True
        assert ((ord(other("박지훈", str(seed))[-1]) - 0xAC00) % 28 > 0) is True


def test_latin_names_stand_alone_and_korean_ones_have_particles_behind_them() -> None:
    found = [m[0] for m in re.finditer(pattern(["Kim", "Kim Lee", "민수"]), "Kim Lee, Kimchi, Kim and 민수는, HanKim")]
    assert found == ["Kim Lee", "Kim", "민수"]


def test_the_mark_of_a_tool_reaches_the_rows() -> None:
    @effect(
        "write", recovery="idempotent", reversible=True, ko="손님을 적습니다.",
        will={"en": "Note {guest}.", "ko": "{guest} 님을 적습니다."},
        tells={"en": lambda r: [], "ko": lambda r: []},
    )  # fmt: skip
    def note_guest(guest: Annotated[Person, Field(max_length=40)], friend: Person | None = None) -> dict[str, Any]:
        """Note a guest."""
        return {}

    [spec] = [tool for tool in Toolbox([note_guest]).offered() if tool["name"] == "note_guest"]
    tool = {"function": {"name": spec["name"], "parameters": spec["parameters"]}}
    called = {
        "tool_calls": [{"function": {"name": "note_guest", "arguments": {"guest": "Eva Mont", "friend": "홍길동"}}}]
    }
    row = {"prompt": [], "said": None, "tools": [tool], "decided": called}
    assert sorted(names_in(row, (), str)) == ["Eva Mont", "홍길동"]
    assert spec["parameters"]["properties"]["guest"]["maxLength"] == 40
