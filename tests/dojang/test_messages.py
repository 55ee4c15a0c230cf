"""Every message of the parts below the shell has Korean, and a finished message finds it.

Where this fails after a merge, it prints the entries for ``dojang/locales/ko/messages.po``, ready to be filled in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import pytest

from dojang.foreign import FOREIGN
from dojang.language import LOCALES, Domain, texts_of
from dojang.messages import BLANK, Pattern, messages, skeleton, told
from nodes.wording import say, translations
from tests.dojang.sentences import ROOT, sentences
from tools import amounts, dates
from tools.toolbox import Toolbox

KOREAN = texts_of("messages", "ko")
SAME = {"{said} `dojang checkpoints make-key`", "PostgreSQL {server} ({where}), pgvector {found}"}
PARTICLE = re.compile(
    r"(?:\}|\)s)['”’]?(?:은|는|이|가|을|를|과|와|로|으로|라는|이라는|이나|나)(?=[\s.,)])|\((?:으|이|은|가|를)\)"
)
"""A particle after a blank would have to know the blank's last sound; so would "을(를)", which no Korean says."""


def wanted() -> dict[str, str]:
    """{template: where it stands}."""
    return {**sentences(), **dict.fromkeys(FOREIGN, "dojang/foreign.py")}


@pytest.mark.parametrize("domain", ["cli", "console", "messages", "vocabulary"])
def test_catalogues_are_whole(domain: Domain) -> None:
    """A merge may leave half an entry, or one twice, of which only one would count."""
    written = (LOCALES / "ko" / f"{domain}.po").read_text("utf-8")
    lines = re.findall(r"^(msgid|msgstr) (.*)", written, re.MULTILINE)
    assert [word for word, _ in lines] == ["msgid", "msgstr"] * (len(lines) // 2)
    assert len(texts_of(domain, "ko")) == len(lines) // 2 - 1, "an entry is there twice, or empty"


@pytest.mark.parametrize("domain", ["cli", "console", "vocabulary"])
def test_no_catalogue_guesses_particles(domain: Domain) -> None:
    assert [text for text in texts_of(domain, "ko").values() if PARTICLE.search(text)] == []


def test_sentences_of_the_gate_without_particles() -> None:
    korean = translations("en", "ko")
    assert len(korean) == len(translations("ko", "en"))
    assert [text for text in korean.values() if PARTICLE.search(text)] == []


def blanks(text: str) -> list[str]:
    return list(dict.fromkeys(BLANK.findall(text)))


def sample(template: str) -> dict[str, str]:
    """A value for each blank that no other message is made of."""
    return {name: f"⟦{number}⟧" for number, name in enumerate(blanks(template))}


def finished(template: str, values: dict[str, str]) -> str:
    """The message as a program would have made it."""
    return Pattern(template, template).filled(values)


def entries(templates: Iterable[str], where: dict[str, str]) -> str:
    """Lines of a catalogue for templates that it lacks."""
    made = []
    for text in templates:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        flag = "#, python-brace-format\n" if blanks(text) else ""
        made.append(f'\n#: {where[text]}\n{flag}msgid "{quoted}"\nmsgstr ""\n')
    return "".join(made)


def test_every_message_has_korean() -> None:
    assert len(sentences()) > 400
    known = {skeleton(text) for text in KOREAN}
    missing = [text for text in wanted() if skeleton(text) not in known]
    assert not missing, f"{len(missing)} entries for messages.po:\n{entries(missing, wanted())}"


def test_nothing_is_translated_that_nobody_says() -> None:
    said = {skeleton(text) for text in wanted()}
    assert [text for text in KOREAN if skeleton(text) not in said] == []


def test_korean_keeps_blanks_commands_and_options() -> None:
    wrong = {}
    for text, korean in KOREAN.items():
        lost = [
            kept
            for kept in (BLANK.pattern, r"`[^`]+`", r"--[a-z-]+|DOJANG_[A-Z_]+")
            if set(re.findall(kept, korean)) != set(re.findall(kept, text))
        ]
        if lost or PARTICLE.search(korean) or not (text in SAME or re.search("[가-힣]", korean)):
            wrong[text] = korean
    assert wrong == {}


def test_a_finished_message_finds_its_korean() -> None:
    wrong = {template: why for template in wanted() if (why := amiss(template))}
    assert wrong == {}


def amiss(template: str) -> str:
    """What is wrong with the way from a finished message to its Korean; "" where nothing is."""
    values = sample(template)
    message = finished(template, values)
    if not values:
        return "" if messages("ko").whole.get(message) else "is not known"
    fitting = list(messages("ko").matching(message))
    if not fitting:
        return "is not known"
    first, found = fitting[0]
    if skeleton(first.template) != skeleton(template):
        return f"is taken for {first.template!r}"
    if list(found.values()) != list(values.values()):
        return f"gives back {found}"
    if any(other.rank(its) == first.rank(found) for other, its in fitting[1:]):
        return f"is as like {fitting[1][0].template!r}"
    told_values = [value for value in values.values() if value not in messages("ko").told(message)]
    return f"loses {told_values}" if told_values else ""


def test_what_is_inside_a_message_is_translated_too() -> None:
    busy = (
        "the decision is recorded; thread 'th_1' is busy: a run by an unknown owner (pid 7) has held it since a moment "
        "ago; wait for it or cancel it; `dojang resume th_1` goes on"
    )
    korean = told(busy, "ko")
    assert "결재를 기록했습니다" in korean
    assert "알 수 없는 사용자(pid 7), 시작: 조금 전" in korean
    assert "`dojang resume th_1` 명령으로 이어 갑니다" in korean
    assert not re.search(r"[a-z]{4,} [a-z]{3,}", korean.replace("dojang resume", ""))


def test_several_problems_are_translated_one_by_one() -> None:
    text = "review rv_1: the edit was not taken: guests: 9 is greater than the maximum of 6; hotel is missing"
    assert told(text, "ko") == (
        "검토 rv_1: 수정을 받아들이지 못했습니다. guests: 9: 최대 6까지 받습니다; hotel 값이 없습니다"
    )


def reasons(module: str) -> Iterator[str]:
    """Every end of a sentence that an ``Unreadable`` of ``tools`` may be."""
    for node in ast.walk(ast.parse((ROOT / "tools" / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Unreadable":
            parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else node.args
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "2026-12-04" for part in parts)


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        *(("dates", "check_out", reason) for reason in sorted(set(reasons("dates")))),
        *(("amounts", "guests", reason) for reason in sorted(set(reasons("amounts")))),
    ],
)
def test_whatever_cannot_be_read_in_an_edit_is_told_in_korean_with_its_name_and_its_words(
    module: str, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise {"dates": dates, "amounts": amounts}[module].Unreadable(reason)

    monkeypatch.setattr(dates, "read_date", refuse)
    monkeypatch.setattr(amounts, "read_number", refuse)
    checked = Toolbox.open(today=lambda: date(2026, 11, 18)).check("book_room", {name: "다음 주 일요일"})
    korean = told(f"review rv_1: the edit was not taken: {'; '.join([*checked['problems'] * 2])}", "ko")
    said = f'{name}: "다음 주 일요일": {told(reason, "ko")}. '
    assert korean.startswith(f"검토 rv_1: 수정을 받아들이지 못했습니다. {said}")
    assert korean.count(said) == 2
    assert not re.search("[a-z]{3,}", korean.replace(name, "").replace("rv_1", ""))


def test_a_message_is_not_taken_for_one_inside_it() -> None:
    assert told("plain was not run: text: 1 is not of type 'string'.", "ko") == (
        "plain 도구를 실행하지 않았습니다. text: 1: 형식이 맞지 않습니다(필요한 형식: 'string')."
    )
    assert told("c.toml:1: case 'a', field 'tier': must be a whole number from 0, not True", "ko") == (
        "c.toml:1: 사례 'a', 항목 'tier': True 대신 다음 값이 필요합니다: 0 이상의 정수"
    )


def test_the_gate_is_read_in_either_language() -> None:
    english = say("approve_answer", "en", text="The documents do not say.")
    korean = say("approve_answer", "ko", text="The documents do not say.")
    assert told(english, "ko") == korean, "the draft is what will be sent: it stays as it is"
    assert told(korean, "en") == english
    assert told(say("rejected", "ko", by="hana", reason="사유 없음"), "en") == "Rejected by hana: no reason given"
    assert told(korean, "ko") == korean


def test_an_unknown_message_is_shown_as_it_is() -> None:
    assert told("somebody wrote this {today}: a; b", "ko") == "somebody wrote this {today}: a; b"
    assert told("", "ko") == ""


def test_english_stays_and_times_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "review rv_1 is not due before 2026-11-26T16:25:28.829808+00:00"
    assert "2026-11-26T" not in told(text, "en")
    assert told(text, "en").startswith("review rv_1 is not due before 2")
    assert "년 11월" in told(text, "ko")
    hint = "not_before has no time zone; write it like 2026-11-22T09:00+09:00"
    assert told(hint, "en") == hint


def test_a_blank_that_comes_twice_holds_the_same_twice() -> None:
    text = "{path} can be read by others; allow it to its owner alone: chmod 600 {path}"
    assert Pattern(text, "").values(text.replace("{path}", "/k")) == {"path": "/k"}
    assert Pattern(text, "").values(text.replace("{path}", "/k", 1).replace("{path}", "/l")) is None
