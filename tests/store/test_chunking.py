"""Passages: exact offsets, whole sentences, headings, languages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.ingesting.chunking import MAX_CHARACTERS, MAX_SENTENCES, chunk
from store.readers.extract import Unreadable
from store.readers.files import read_bytes
from store.text.language import language_of, sentences, stem, terms

MIXED = "체크인은 오후 3시부터입니다. 주차\n\n # ## - 1. ``` --- | The pool, e.g. Mr. opens 7 a.m.! 😀 Wi-Fi 無料 \t"
LONG = ["가" * 600, "x" * 1200, "\n", "\n\n", "조식은 22,000원입니다.", "It costs 5,000 won."]
WORDS = st.sampled_from([*MIXED.split(" "), *LONG])


def check(name: str, data: bytes) -> None:
    extract = read_bytes(name, data)
    position = 0
    for piece in chunk(extract):
        text = extract.text[piece.start : piece.end]
        assert position <= piece.start < piece.end <= len(extract.text)
        assert text == text.strip() != ""
        assert len(text) <= MAX_CHARACTERS
        assert 1 <= len(piece.sentences) <= MAX_SENTENCES
        inner = 0
        for start, end in piece.sentences:
            assert inner <= start < end <= len(text)
            assert text[start:end] == text[start:end].strip() != ""
            inner = end
        assert (piece.sentences[0][0], piece.sentences[-1][1]) == (0, len(text))
        assert piece.language == language_of(text)
        position = piece.end


@given(st.lists(WORDS, max_size=60), st.sampled_from(["a.txt", "a.md", "a.csv", "a.html"]))
@settings(deadline=None, max_examples=150)
def test_offsets_are_exact_for_prose(words: list[str], name: str) -> None:
    try:
        check(name, " ".join(words).encode())
    except Unreadable:
        assert not "".join(words).strip("#- |`,\n\t123.") or name == "a.html"


@given(st.text(max_size=400))
@settings(deadline=None, max_examples=150)
def test_offsets_are_exact_for_any_text(text: str) -> None:
    try:
        check("a.txt", text.encode("utf-8", "replace"))
    except Unreadable:
        pass


def test_no_word_of_a_document_is_lost() -> None:
    table = "| six | seven |\n|---|---|\n| eight | nine |\n"
    text = "# 안내\n\n하나입니다. 둘입니다.\n\n## Two\n- three\n- four\n\n1. five\n" + table
    extract = read_bytes("a.md", text.encode())
    kept = " ".join(f"{piece.title} {extract.text[piece.start : piece.end]}" for piece in chunk(extract))
    for word in ("하나입니다", "둘입니다", "three", "four", "five", "six", "seven", "eight", "nine"):
        assert word in kept


def test_headings_are_titles_and_not_passages() -> None:
    extract = read_bytes(
        "a.md", "# House\n\n## Parking\n\nIt costs 15,000 won.\n\n### 전기차\n\n무료입니다.\n\n## Pets\nNo.\n".encode()
    )
    found = [(piece.title, extract.text[piece.start : piece.end]) for piece in chunk(extract)]
    assert found == [
        ("House › Parking", "It costs 15,000 won."),
        ("House › Parking › 전기차", "무료입니다."),
        ("House › Pets", "No."),
    ]


def test_pages_do_not_flow_together() -> None:
    from dataclasses import replace

    extract = replace(read_bytes("a.txt", b"One is here.\n\nTwo is there."), pages=(0, 14))
    assert [(piece.page, extract.text[piece.start : piece.end]) for piece in chunk(extract)] == [
        (1, "One is here."),
        (2, "Two is there."),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Check-out is at 11 a.m. Late check-out costs 20,000 won.", 2),
        ("Mr. Kim pays 1.5 million won. Dr. Lee, e.g. in Busan, does not.", 2),
        ("Open from 7 a.m. to 9 p.m. every day.", 1),
        ("Really?! Yes. “Free.” Fine…", 4),
        ("체크인은 오후 3시부터입니다. 조식은 15,000원입니다! 주차는요? 무료예요.", 4),
        ("문의는 02-555-0142로 해 주세요. 감사합니다", 2),
        ("😀 방은 3.5층에 있습니다. 👍 좋아요.", 2),
    ],
)
def test_sentences(text: str, parts: int) -> None:
    spans = sentences(text)
    assert len(spans) == parts, [text[start:end] for start, end in spans]
    assert "".join(text[s:e] for s, e in spans).replace(" ", "") == text.replace(" ", "")


def test_where_sentences_end_is_found_in_time_proportional_to_the_text() -> None:
    text, begun = "." * 100_000 + " Next one. '" + ".'" * 50_000 + ' Last. "' + '."' * 50_000, time.process_time()
    spans = sentences(text)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert time.process_time() - begun < 1, "of this process alone; it takes a hundredth of that"


def test_wrapped_lines_are_one_sentence_and_short_lines_are_not() -> None:
    wrapped = "The shuttle between the airport and the house leaves every hour\nfrom platform 3B of the first terminal."
    lines = "Check-in: 15:00\nCheck-out: 11:00\n체크인 시간 15시\n체크아웃 시간 11시"
    assert [len(piece.sentences) for piece in chunk(read_bytes("a.txt", wrapped.encode()))] == [1]
    assert [len(piece.sentences) for piece in chunk(read_bytes("a.txt", lines.encode()))] == [4]


def test_terms_meet_across_forms() -> None:
    assert set(terms("주차 요금은 얼마인가요?")) <= set(terms("주차요금이 15,000원입니다. 주차 요금"))
    assert stem("parking") == stem("parked") == stem("parks") == "park"
    assert terms("What is the price of it?") == ["pric"]
    assert "와이파이" in terms("와이파이는 무료입니다")
    assert {"wi", "fi"} <= set(terms("객실 Wi-Fi 됩니까"))


def test_languages() -> None:
    assert language_of("주차 요금은 Namsan Stay 기준 15,000원") == "ko"
    assert language_of("The dish 비빔밥 is served in the restaurant") == "en"
    assert language_of("12345 !!") == "en"


def test_an_endless_line_is_cut_in_time() -> None:
    text = "가나다라마바사 " * 6_000
    pieces = chunk(read_bytes("a.txt", text.encode()))
    assert sum(piece.end - piece.start for piece in pieces) > 0.9 * len(text)


WORD = st.sampled_from(
    [
        *"주차 요금은 parking costs 무료입니다. won. 이용합니다! Is it? “네.” ㅋㅋ (예: 3.5) 2026.11.25".split(),
        *("①", "《제국》은", "'가'의"),
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A Markdown document, and the words of it that stand only once."""
    marks: list[str] = []

    def words(most: int) -> str:
        marks.append(f"w{len(marks)}x")
        return " ".join([marks[-1], *draw(st.lists(WORD, max_size=most))])

    parts = []
    for kind in draw(st.lists(st.sampled_from(["text", "heading", "list", "table", "code", "long"]), max_size=12)):
        if kind == "heading":
            parts.append("#" * draw(st.integers(1, 4)) + " " + words(3))
        elif kind == "list":
            parts.append("\n".join(f"- {words(6)}" for _ in range(draw(st.integers(1, 4)))))
        elif kind == "table":
            rows = [f"| {words(2)} | {words(2)} |" for _ in range(draw(st.integers(1, 4)))]
            parts.append("\n".join([rows[0], "|---|---|", *rows[1:]]))
        elif kind == "code":
            parts.append(f"```\n{words(4)}\n```")
        else:
            parts.append(words(12) + (" 가나다" * 300 if kind == "long" else ""))
    return draw(st.sampled_from(["\n\n", "\n"])).join(parts), marks


@given(documents())
@settings(deadline=None, max_examples=120)
def test_nothing_is_lost_and_nothing_is_twice(made: tuple[str, list[str]]) -> None:
    text, marks = made
    try:
        extract = read_bytes("a.md", text.encode())
    except Unreadable:
        assert not marks
        return
    check("a.md", text.encode())
    pieces = chunk(extract)
    found = [extract.text[piece.start : piece.end].split() for piece in pieces]
    titles = " ".join(piece.title for piece in pieces).split()
    for mark in marks:
        assert sum(words.count(mark) for words in found) <= 1
        assert mark in titles or any(mark in words for words in found), mark


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("정말 좋아요ㅋㅋ 다음에 또 올게요!! 감사합니다.", 3),
        ("그는 “체크인은 3시다.”라고 말했다. 그리고 갔다.", 2),
        ("(사실은 아니다.) 그래서 갔다. [공지] 수영장은 쉽니다.", 3),
        ("이 약관은 이용을 정한다. ① 회원은 예약할 수 있다. ② 비회원은 할 수 없다.", 3),
        ("가능합니다！정말요？네。", 3),
        ("2026.11.25.에 시작합니다. 가격은 1.5만원입니다.", 2),
    ],
)
def test_korean_sentence_ends(text: str, parts: int) -> None:
    spans = sentences(text)
    assert len(spans) == parts, [text[start:end] for start, end in spans]
    assert "".join(text[s:e] for s, e in spans).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("중국에서 출간되었다. 《빛의 제국》은 2010년에 소개되었다.", "《빛의 제국》은"),
        ("연극으로 선보였다.《퀴즈쇼》는 뮤지컬로 선보였다.", "《퀴즈쇼》는"),
        ("게임을 냈다. 《새벽 4시》 이후 처음이다.", "《새벽 4시》 이후"),
        ("널리 읽힌다. '순명자'의 뜻은 이름만의 보살이다.", "'순명자'의"),
        ("그는 말했다. (A)의 이야기는 어렵다.", "(A)의"),
        ("소개했다. <돌아온 오빠>와 <흡혈귀>는 연극이 되었다.", "<돌아온 오빠>와"),
        ("요금은 만 원이다. (세금 별도) 예약은 전화로 받는다.", "예약은"),
        ("그는 이렇게 썼다. 《진달래》\n예약은 전화로 받는다.", "예약은"),
    ],
)
def test_a_title_begins_the_korean_sentence_whose_particle_follows_it(text: str, second: str) -> None:
    spans = sentences(text)
    assert len(spans) == 2, [text[start:end] for start, end in spans]
    assert text[spans[1][0] :].startswith(second)
    assert "".join(text[s:e] for s, e in spans).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_full_width_forms_are_found_by_the_usual_ones() -> None:
    assert terms("요금은 １５，０００원, Ｗｉ－Ｆｉ") == terms("요금은 15,000원, Wi-Fi")
    extract = read_bytes("a.txt", "요금은 １５，０００원입니다.".encode())
    assert extract.text == "요금은 １５，０００원입니다."  # the text stays what the file says
