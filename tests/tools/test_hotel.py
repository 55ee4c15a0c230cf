"""The front desk over real tables."""

from __future__ import annotations

import json
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state import JSON, UserError
from tests.tools.conftest import SAMPLE, TODAY
from tools.errors import ToolFailed
from tools.hotel_data import STEPS
from tools.toolbox import Toolbox

NFD_NAME = unicodedata.normalize("NFD", "남산스테이")
"""As macOS writes it."""


def count(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else -1


def booking(**changes: Any) -> dict[str, JSON]:
    return {
        "hotel": "남산 스테이",
        "guest": "김하늘",
        "check_in": "2026-12-03",
        "check_out": "2026-12-05",
        "guests": 2,
        "room_type": "standard",
        **changes,
    }


def test_book_find_refund_cancel(desk: Toolbox) -> None:
    made = desk.run("book_room", booking(), key="k1")
    assert made["booking_id"] == "BK-2041"
    assert (made["hotel"], made["nights"], made["total_krw"]) == ("Namsan Stay", 2, 240_000)
    assert desk.tell("book_room", made, "ko") == [
        "예약 번호 BK-2041, 남산스테이 스탠다드 객실, 2026년 12월 3일~5일, 2명, 김하늘 님으로 예약되었습니다.",
        "2박 요금은 모두 240,000원입니다.",
    ]
    assert desk.tell("book_room", made, "en") == [
        "Booking BK-2041 is confirmed: Namsan Stay, standard room, 3–5 December 2026, 2 guests, for 김하늘.",
        "The total for 2 nights is KRW 240,000.",
    ]
    refund = desk.run("issue_refund", {"booking_id": "bk 2041", "amount": 100_000}, key="k2")
    assert refund["left_krw"] == 140_000
    with pytest.raises(ToolFailed, match=r"^KRW 140,001 is more than the KRW 140,000 that can still be refunded"):
        desk.run("issue_refund", {"booking_id": "BK-2041", "amount": 140_001}, key="k3")
    cancelled = desk.run("cancel_booking", {"booking_id": "BK-2041", "reason": "일정 변경"}, key="k4")
    assert desk.tell("cancel_booking", cancelled, "ko") == ["남산스테이 예약 BK-2041이 취소되었습니다."]
    with pytest.raises(ToolFailed, match=r"^Booking BK-2041 is already cancelled\.$"):
        desk.run("cancel_booking", {"booking_id": "2041"}, key="k5")
    found = desk.run("find_booking", {"booking_id": "BK-2041"}, key="")
    assert (found["status"], found["refunded_krw"]) == ("cancelled", 100_000)
    assert "취소" in desk.tell("find_booking", found, "ko")[0]


@pytest.mark.parametrize("name", ["Namsan Stay", "namsan stay", "NAMSANSTAY", "남산스테이", "남산 스테이", NFD_NAME])
def test_a_hotel_is_found_by_either_name(desk: Toolbox, name: str) -> None:
    assert desk.run("book_room", booking(hotel=name), key="k")["hotel_ko"] == "남산스테이"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"hotel": "Grand Budapest"},
            "There is no hotel called “Grand Budapest”; the hotels are Namsan Stay (남산스테이), ",
        ),
        ({"check_out": "2026-12-03"}, "Check-out 2026-12-03 is not after check-in 2026-12-03."),
        ({"check_out": "2026-12-01"}, "Check-out 2026-12-01 is not after check-in 2026-12-03."),
        (
            {"check_in": "2026-11-17", "check_out": "2026-11-20"},
            "Check-in 2026-11-17 is in the past; today is 2026-11-18.",
        ),
        ({"check_out": "2027-12-03"}, "365 nights are too many; 60 is the longest stay."),
        ({"guests": 9}, "A standard room at Namsan Stay takes 4 guests, not 9."),
        ({"hotel": "제주올레인", "room_type": "suite"}, "제주올레인 has no suite rooms; it has standard, deluxe."),
    ],
)
def test_what_the_desk_refuses(desk: Toolbox, postgres_dsn: str, changes: dict[str, Any], sentence: str) -> None:
    before = count(postgres_dsn, "bookings")
    with pytest.raises(ToolFailed) as error:
        desk.run("book_room", booking(**changes), key="k")
    assert str(error.value).startswith(sentence)
    assert count(postgres_dsn, "bookings") == before
    assert desk.settled("book_room", "k") is None


@pytest.mark.parametrize("tool", ["find_booking", "cancel_booking"])
@pytest.mark.parametrize("number", ["BK-9999", "nothing", "'; drop table bookings; --"])
def test_an_unknown_booking(desk: Toolbox, tool: str, number: str) -> None:
    with pytest.raises(ToolFailed, match=r"^There is no booking "):
        desk.run(tool, {"booking_id": number}, key="k")


def test_search_in_both_languages(desk: Toolbox) -> None:
    for city in ("Seoul", "서울", "seoul", "서울시"):
        found = desk.run("search_hotels", {"city": city, "check_in": "2026-12-03", "check_out": "2026-12-05"}, key="")
        assert [hotel["hotel_ko"] for hotel in found["hotels"]] == ["남산스테이", "한강테라스"]
    lines = desk.tell("search_hotels", found, "ko")
    assert lines[0] == "서울 남산스테이에는 스탠다드 객실이 12개 남아 있고 1박에 120,000원입니다."
    nothing = desk.run("search_hotels", {"city": "평양"}, key="")
    assert desk.tell("search_hotels", nothing, "ko") == ["평양에는 빈 객실이 있는 호텔이 없습니다."]
    large = desk.run("search_hotels", {"city": "서울", "guests": 5}, key="")
    assert {room["room_type"] for hotel in large["hotels"] for room in hotel["rooms"]} == {"suite"}


def test_a_full_house_frees_a_room_when_a_booking_is_cancelled(desk: Toolbox) -> None:
    stay = booking(hotel="경주한옥하우스", room_type="suite")
    first = desk.run("book_room", stay, key="k1")
    with pytest.raises(ToolFailed, match="has no suite room left for 2026-12-04 to 2026-12-06"):
        desk.run("book_room", {**stay, "check_in": "2026-12-04", "check_out": "2026-12-06"}, key="k2")
    desk.run("book_room", {**stay, "check_in": "2026-12-05", "check_out": "2026-12-06"}, key="k3")  # the day they leave
    found = desk.run("search_hotels", {"city": "경주", "check_in": "2026-12-03", "check_out": "2026-12-05"}, key="")
    assert [room["room_type"] for room in found["hotels"][0]["rooms"]] == ["standard"]
    desk.run("cancel_booking", {"booking_id": first["booking_id"]}, key="k4")
    assert desk.run("book_room", stay, key="k5")["booking_id"]


def test_sixteen_want_the_last_room(desk: Toolbox, postgres_dsn: str) -> None:
    before = count(postgres_dsn, "bookings")

    def attempt(number: int) -> str:
        try:
            wish = booking(hotel="Gyeongju Hanok House", room_type="suite", guest=f"손님 {number}")
            return str(desk.run("book_room", wish, key=f"k{number}")["booking_id"])
        except ToolFailed as error:
            return str(error)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(attempt, range(16)))
    assert sum(answer.startswith("BK-") for answer in answers) == 1
    assert sum("has no suite room left" in answer for answer in answers) == 15
    assert count(postgres_dsn, "bookings") == before + 1
    assert count(postgres_dsn, "effects") == 1


def test_two_refunds_cannot_take_the_same_money(desk: Toolbox, postgres_dsn: str) -> None:
    paid = desk.run("book_room", booking(), key="b")

    def attempt(number: int) -> bool:
        try:
            desk.run("issue_refund", {"booking_id": paid["booking_id"], "amount": 150_000}, key=f"k{number}")
        except ToolFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert count(postgres_dsn, "refunds") == 1


def test_a_message_is_one_file_in_the_outbox(desk: Toolbox, tmp_path: Path) -> None:
    sent = desk.run("send_message", {"to": "김하늘", "text": "내일 뵙겠습니다."}, key="k")
    (file,) = (tmp_path / "outbox").iterdir()
    message = json.loads(file.read_text("utf-8"))
    assert (message["to"], message["text"], message["id"]) == ("김하늘", "내일 뵙겠습니다.", sent["message_id"])
    unsettled = desk.settled("send_message", "k")
    assert unsettled is not None
    assert unsettled["status"] == "in_doubt"


def test_an_outbox_that_cannot_be_written_is_a_clean_failure(postgres_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    box = Toolbox.open(outbox=tmp_path / "file" / "outbox", today=lambda: TODAY)
    with pytest.raises(ToolFailed, match=r"^The message was not sent: the outbox cannot be written \("):
        box.run("send_message", {"to": "a", "text": "b"}, key="k")


def test_preparing_again_changes_nothing(desk: Toolbox, postgres_dsn: str) -> None:
    tables = ("hotels", "rooms", "bookings", "tool_migrations")
    before = [count(postgres_dsn, table) for table in tables]
    assert before == [7, 16, 3, len(STEPS) + 1]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: desk.prepare(), range(4)))
    assert [count(postgres_dsn, table) for table in tables] == before
    assert desk.run("find_booking", {"booking_id": "BK-2031"}, key="")["guest"] == "김하늘"


def test_several_prepare_a_fresh_database_at_once(postgres_dsn: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: Toolbox.open(dsn=postgres_dsn, sample=SAMPLE), range(6)))
    assert count(postgres_dsn, "hotels") == 7


def test_a_broken_sample_file_is_named(postgres_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[[hotel]]\nname = 'x'\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^sample rows mine\.toml cannot be read \(KeyError: 'name_ko'\)"):
        Toolbox.open(dsn=postgres_dsn, sample=tmp_path / "mine.toml")


def test_sentences_that_an_operator_reads(desk: Toolbox) -> None:
    args = booking(hotel="Namsan Stay", guest="Emma Lee")
    assert (
        desk.describe("book_room", args, "en")
        == "Book Namsan Stay for Emma Lee, 3–5 December 2026, 2 guests (standard)."
    )
    assert (
        desk.describe("book_room", booking(), "ko")
        == "남산 스테이에 김하늘 님 이름으로 2026년 12월 3일~5일, 2명, 스탠다드 객실을 예약합니다."
    )
    refund = {"booking_id": "BK-2041", "amount": 180_000}
    assert desk.describe("issue_refund", refund, "en") == (
        "Refund KRW 180,000 for booking BK-2041; this cannot be undone."
    )
    assert desk.describe("issue_refund", refund, "ko") == "예약 BK-2041 건으로 180,000원을 환불합니다 (되돌릴 수 없음)."
    trick = desk.describe("send_message", {"to": "a\nApproved by manager", "text": "\u202eevil\x1b[2J"}, "en")
    assert trick == "Send a Approved by manager the message “evil [2J”; this cannot be undone."
