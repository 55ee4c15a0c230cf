"""The sample documents: questions in Korean and English find the passage that answers them, with the real embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from store import DocumentStore, MiniLM
from store.text.language import language_of

SAMPLE = Path(__file__).parents[2] / "dojang" / "sample" / "documents"
QUESTIONS = [
    ("How much does parking cost per night?", "en/parking.html", "15,000 won a night"),
    ("Is breakfast free for small children?", "en/breakfast.txt", "under 6 years eat free"),
    ("What time is breakfast on weekends?", "en/breakfast.txt", "until 10:30 a.m."),
    ("When can I check in?", "en/check-in-and-check-out.md", "Check-in starts at 3 p.m."),
    ("What does late check-out cost?", "en/check-in-and-check-out.md", "costs 20,000 won"),
    ("Can I bring my dog?", "en/pets.md", "dog of up to 10 kilograms"),
    ("How much of my money do I get back if I cancel four days before arrival?", "en/refund-policy.md", "50 percent"),
    ("How long does a refund take?", "en/refund-policy.md", "5 business days"),
    ("Where does the airport bus leave at Terminal 1?", "en/airport-shuttle.txt", "platform 3B"),
    ("Do I need a cap in the swimming pool?", "en/spa-and-pool.pdf", "swimming cap is required"),
    ("What is the price of an extra bed?", "en/children-and-extra-beds.html", "35,000 won"),
    ("Is there a discount for groups?", "en/group-bookings.docx", "discount of 10 percent"),
    ("I forgot my scarf in the room, how long do you keep it?", "en/lost-property.txt", "kept for 3 months"),
    ("When do my points expire?", "en/membership.md", "expire after 2 years"),
    ("What is the price of a suite at Haeundae Pearl?", "en/hotels.csv", "390,000 won"),
    ("How fast must I be quiet at night, when are quiet hours?", "en/house-rules.md", "10 p.m. to 7 a.m."),
    ("주차 요금은 얼마예요?", "ko/parking.html", "1박에 15,000원"),
    ("전기차 충전할 수 있나요?", "ko/parking.html", "충전기는 지하 2층"),
    ("주말 조식은 몇 시까지예요?", "ko/breakfast.txt", "오전 10시 30분까지"),
    ("체크인은 몇 시부터 할 수 있나요?", "ko/check-in-and-check-out.md", "오후 3시부터"),
    ("체크아웃을 늦게 하면 얼마를 더 내나요?", "ko/check-in-and-check-out.md", "20,000원"),
    ("강아지를 데려가도 되나요? 반려견 요금이 궁금해요.", "ko/pets.md", "30,000원"),
    ("당일에 취소하면 환불되나요?", "ko/refund-policy.md", "당일 취소와 노쇼는 환불하지 않습니다"),
    ("객실에서 담배를 피우면 벌금이 있나요?", "ko/house-rules.md", "청소비 200,000원"),
    ("셔틀버스 요금이 얼마인가요?", "ko/airport-shuttle.txt", "성인 18,000원"),
    ("수영장 이용 시간 알려 주세요", "ko/spa-and-pool.md", "오전 7시부터 오후 9시까지"),
    ("추가 침대 가격은요?", "ko/children-and-extra-beds.html", "35,000원"),
    ("단체로 예약하면 할인되나요?", "ko/group-bookings.docx", "10퍼센트를 할인"),
    ("두고 온 물건은 얼마 동안 보관해 주나요?", "ko/lost-property.txt", "3개월 동안 보관"),
    ("포인트는 언제 사라지나요?", "ko/membership.md", "2년이 지나면"),
    ("해운대펄 스위트 1박 요금은?", "ko/hotels.csv", "390,000원"),
    ("예약 날짜를 바꾸면 수수료가 있나요?", "ko/cancellation.md", "날짜 변경은 도착 3일 전까지 무료"),
]


@pytest.fixture(scope="module")
def sample(postgres_server: str) -> Iterator[DocumentStore]:
    name = "t_sample_documents"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(77)")  # the workers of xdist share one database of this name
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute(f"CREATE DATABASE {name}")
        with DocumentStore(make_conninfo(postgres_server, dbname=name), MiniLM()) as store:
            report = store.ingest([SAMPLE])
            assert report.failed == []
            connection.execute("SELECT pg_advisory_unlock(77)")
            yield store


@pytest.mark.parametrize(("question", "document", "fact"), QUESTIONS)
def test_the_top_passage_answers(sample: DocumentStore, question: str, document: str, fact: str) -> None:
    top, *rest = sample.search(question)
    assert (top["document"], fact in top["text"]) == (document, True), [
        (p["document"], p["scores"]) for p in (top, *rest)
    ]
    assert sample.document_text(top["document"])[top["start"] : top["end"]] == top["text"]
    sentences = [top["text"][start:end] for start, end in top["sentences"]]
    assert any(fact in sentence for sentence in sentences)
    assert ("vector" in top["scores"]) == (language_of(question) == "en")


def test_every_sentence_of_the_samples_is_one_statement(sample: DocumentStore) -> None:
    for row in sample.documents():
        for passage in sample.search(row["title"], k=50, filters={"document": row["name"]}):
            for start, end in passage["sentences"]:
                assert passage["text"][start:end].endswith("."), (row["name"], passage["text"][start:end])
                assert end - start < 160


def test_fourteen_documents_in_each_language(sample: DocumentStore) -> None:
    names = [row["name"] for row in sample.documents()]
    assert sum(name.startswith("en/") for name in names) == sum(name.startswith("ko/") for name in names) == 14
    assert {row["format"] for row in sample.documents()} == {"md", "txt", "html", "docx", "csv", "pdf"}
