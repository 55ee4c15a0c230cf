"""Whose sentence it is: names of houses are set apart from what is said of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speakers.named import Apart, apart, family, names

PINE = ["At Pine Villa, breakfast is from 7.", "For guests of Lotus Inn: Dogs may come.", "Parking is free."]
DAON = ["다온 호텔에서는 조식이 07:30부터, 23,500원입니다.", "보라 리조트: 개는 안 됩니다.", "주차는 무료입니다."]


@pytest.mark.parametrize(
    ("question", "bare"),
    [
        ("At Pine Villa: when is breakfast?", "when is breakfast?"),
        ("Pine Villa: when is breakfast?", "when is breakfast?"),
        ("When is breakfast? (I mean Pine Villa)", "When is breakfast?"),
        ("I stay at Pine Villa. When is breakfast?", "When is breakfast?"),
        ("When is breakfast at Pine Villa?", "When is breakfast?"),
        ("when is breakfast at the pine villa?", "when is breakfast?"),
    ],
)
def test_a_name_is_taken_out_of_the_question_and_of_its_sentences(question: str, bare: str) -> None:
    rest = ["breakfast is from 7.", PINE[1], PINE[2]]
    assert apart(question, PINE) == Apart(bare, rest, [True, False, None])


@pytest.mark.parametrize(
    ("question", "bare"),
    [
        ("다온 호텔: 조식은요?", "조식은요?"),
        ("다온호텔에서 조식은 몇 시예요?", "조식은 몇 시예요?"),
        ("다온호텔: 조식은 몇 시예요?", "조식은 몇 시예요?"),
        ("다온 호텔은 조식이 몇 시예요?", "조식이 몇 시예요?"),
        ("조식은 몇 시예요? (다온 호텔)", "조식은 몇 시예요?"),
        ("다온 호텔 조식은 몇 시예요?", "조식은 몇 시예요?"),
    ],
)
def test_a_korean_name_is_taken_out_however_it_is_spaced(question: str, bare: str) -> None:
    rest = ["조식이 07:30부터, 23,500원입니다.", DAON[1], DAON[2]]
    assert apart(question, DAON) == Apart(bare, rest, [True, False, None])


def test_of_a_name_in_a_longer_one_nothing_else_is_taken() -> None:
    found = apart(
        "Pine Villa Busan: parking?", ["At Pine Villa Busan, cars park free.", "At Pine Villa, cars may come."]
    )
    assert found == Apart("parking?", ["cars park free.", "cars may come."], [True, True])


def test_what_a_sentence_says_of_its_house_at_its_end_is_taken_out_too() -> None:
    found = apart(
        "At Stone Villa: parking?", ["Cars park free. This applies to The Stone Villa.", "Free (Stone Villa)"]
    )
    assert found == Apart("parking?", ["Cars park free. This applies.", "Free"], [True, True])


@pytest.mark.parametrize(
    ("question", "sentences"),
    [
        (
            "When did Nikola Tesla move to New York?",
            ["In 1884 Tesla came to New York.", "Nikola Tesla was born in 1856."],
        ),
        ("Who won Super Bowl XLIX?", ["In Super Bowl XLIX, the Patriots won.", "The Denver Broncos lost."]),
        ("나경원 의원이 발의한 법안은?", ["나 의원은 법안을 냈다.", "당시 나경원 의원은 서울대병원에 있었다."]),
        ("When is breakfast?", PINE),
        ("이 호텔은 조식이 몇 시예요?", DAON),
        ("좋은 호텔: 어디예요?", ["조식은 7시입니다."]),
        ("Shall I bring my own mattress?", ["Monday to Friday: KRW 5,000.", "We take Visa and Mastercard."]),
        ("Pine Villa", PINE),
        ("", []),
    ],
)
def test_who_asks_of_no_house_is_compared_as_he_asks(question: str, sentences: list[str]) -> None:
    assert apart(question, sentences) is None


def test_what_a_house_has_is_no_other_house() -> None:
    here = ["비즈니스 센터(5층)에서는 출력이 됩니다.", "근처 병원: 5분", "조식 식당: 7시", "보라 호텔: 무료"]
    found = apart("다온 호텔: 출력되나요?", here)
    assert found is not None
    assert found.whose == [None, None, None, False]
    assert found.sentences[:3] == here[:3]


def test_branches_are_told_apart_and_other_shops_are_none() -> None:
    found = apart("강남점: 주차 돼요?", ["해운대점: 5,000원", "강남점은 무료", "음식점: 많음"])
    assert found == Apart("주차 돼요?", ["해운대점: 5,000원", "무료", "음식점: 많음"], [False, True, None])
    english = apart("The Busan office: when?", ["Busan office: 9 am", "Seoul office: 8 am", "Pine Villa: 7 am"])
    assert english is not None
    assert english.whose == [True, False, None]


def test_a_name_that_says_no_kind_counts_where_it_leads() -> None:
    found = apart(
        "I am at Thengren Coral. Is the pool warm?", ["Thengren Coral: Yes.", "Rose Hotel: No.", "Ask Ann Lee."]
    )
    assert found == Apart("Is the pool warm?", ["Yes.", "Rose Hotel: No.", "Ask Ann Lee."], [True, False, None])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Guests of Haeundae Pearl park free.", ["Haeundae Pearl"]),
        ("KRW 5,000 at TERMINAL TWO, said Kim.", []),
        ("The Gangnam branch is open.", ["Gangnam branch"]),
        ("온유 리조트와 람좌 게스트하우스", ["온유 리조트", "람좌 게스트하우스"]),
        ("Sky 호텔에서는", ["Sky 호텔"]),
        ("호텔에서 호텔로", []),
    ],
)
def test_names_are_known_by_how_they_are_written(text: str, found: list[str]) -> None:
    assert [text[a:b] for a, b in names(text)] == found


def test_houses_of_one_kind_are_of_one_family() -> None:
    assert family("Pine Villa") == family("보라 리조트") != family("해운대점")
    assert family("Ella Dman") is None


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("남산호텔: 조식은 언제인가요?", "서울남산호텔: 조식은 9시입니다."),
        ("남산호텔: 조식은 언제인가요?", "서울 남산호텔: 조식은 9시입니다."),
        ("서울남산호텔: 조식은 언제인가요?", "남산호텔: 조식은 9시입니다."),
        ("남산호텔: 조식은 언제인가요?", "남산호텔 강남점: 조식은 9시입니다."),
        ("At Pine Villa: when is breakfast?", "Pine Villa Busan: breakfast is served at 9."),
        ("At Pine Villa: when is breakfast?", "Pine Villa Gangnam branch: breakfast is served at 9."),
        ("At Pine Villa: when is breakfast?", "At Grand Pine Villa, breakfast is served at 9."),
        ("At Pine Villa: when is breakfast?", "Breakfast at Pine Villa Busan is served at 9."),
        ("Sun Inn: when do you open?", "Sun Inner House: at nine."),
    ],
)
def test_a_house_whose_name_holds_anothers_is_another_house(question: str, sentence: str) -> None:
    found = apart(question, [sentence])
    assert found is not None
    assert found.whose == [False]
    assert found.sentences == [sentence], "nothing is taken out of another's name"


@pytest.mark.parametrize(
    "sentence",
    [
        "The sun inners wake at nine.",
        "A guided sun inn2 tour.",
        "태양 sun innkeeper",
    ],
)
def test_in_the_middle_of_a_word_stands_no_name(sentence: str) -> None:
    found = apart("Sun Inn: when do you open?", [sentence, "The sun inn: at nine."])
    assert found is not None
    assert found.whose == [None, True]
    assert found.sentences == [sentence, "at nine."]


@pytest.mark.parametrize(
    ("question", "sentences"),
    [
        (
            "At Pine Villa: when is breakfast?",
            [
                "Pine Villa Breakfast: 7 to 10.",
                "Pine Villa Business Centre: free.",
                "Pine Villa's Garden is open.",
                "Hotel Pine Villa: it is free.",
                "Near Pine Villa, cars park.",
                "Visitors of Pine Villa: at 8.",
                "PINEVILLA: at 8.",
                "pine villa에서는 9시",
                "Both Pine Villa and Pine Villa Busan have it.",
            ],
        ),
        (
            "남산호텔: 조식은 언제인가요?",
            ["남산 호텔의 조식은 9시", "남산호텔조식은 9시", "남산호텔 비즈니스 센터: 3층", "남산호텔입니다. 9시"],
        ),
    ],
)
def test_what_a_house_has_and_a_capital_that_says_nothing_are_no_other_house(
    question: str, sentences: list[str]
) -> None:
    found = apart(question, sentences)
    assert found is not None
    assert found.whose == [True] * len(sentences)


@pytest.mark.parametrize(
    "text",
    ["Pine Villa, " * 4_000, "Pine Villa and " * 4_000, "다온 호텔, " * 2_000, "At Pine Villa" + " " * 30_000],
)
def test_a_text_full_of_names_or_of_spaces_is_looked_at_in_time(text: str) -> None:
    names("다온 호텔")  # what takes Korean apart is loaded once
    begun = time.process_time()
    found = apart(f"{text} when?", ["Pine Villa: 9", "다온 호텔: 9", "Rose Inn: 8", text])
    assert found is not None
    assert found.whose[-2:] == [False, True]
    assert time.process_time() - begun < 6, "of this process alone, so that a busy machine makes no difference"


def test_an_abbreviation_in_a_name_ends_no_clause() -> None:
    found = apart("U.S. 호텔: 조식은요?", ["U.S. 호텔: 7시", "보라 호텔: 8시"])
    assert found == Apart("조식은요?", ["7시", "보라 호텔: 8시"], [True, False])


@pytest.mark.parametrize("before", ["조식 문의", "질문 있어요"])
def test_a_name_does_not_begin_in_the_line_before(before: str) -> None:
    found = f"{before}\n남산호텔: 조식은 언제예요?"
    assert [found[a:b] for a, b in names(found)] == ["남산호텔"]


@given(st.text(max_size=80), st.lists(st.text(max_size=60), max_size=4))
def test_no_text_is_lost_or_too_odd(question: str, sentences: list[str]) -> None:
    for asked in (question, f"At Pine Villa: {question}", f"다온 호텔: {question}"):
        found = apart(asked, [*sentences, f"Pine Villa: {question}", "보라 호텔: 1"])
        assert found is None or (found.question and all(found.sentences[-2:]))
        assert found is None or len(found.sentences) == len(found.whose) == len(sentences) + 2
