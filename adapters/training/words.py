"""Random values for generated text: names, hotels, dates, ids, amounts, invented words. Korean and English.

Every value belongs to exactly one side, ``train`` or ``test``, by a hash of its text, so that a test never shows
a name, date or id that training has shown. Values are drawn from grammars, not lists of real people.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

import datetime as dt
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from state import Language

Side = Literal["train", "test"]

SURNAMES: Final = "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 홍 전 고 문 손 양 배 백 허 남 심 노 하 곽 성 차 주 우 구".split()
GIVEN: Final = (
    "민 서 지 현 준 영 수 은 진 우 하 윤 예 도 시 재 정 혜 성 태 유 나 주 원 연 경 동 상 미 선 승 호 규 빈 아 람 솔 기 용 희 라 인 찬 훈 율 "
    "채 소 온 결 겸 건 근 남 다 단 담 대 란 련 리 린 림 명 모 무 문 범 별 보 봄 비 샘 석 설 섭 세 슬 신 안 애 양 언 열 오 옥 완 욱 웅 은 의 "
    "이 일 임 자 잔 철 초 춘 충 치 필 한 해 향 헌 혁 홍 화 환 효 후 휘 흥"
).split()
FIRST: Final = (
    "James Mary Robert Linda Daniel Emma Olivia Noah Liam Ava Sophia Lucas Mia Ethan Grace Henry Chloe Oscar Ruth Leo Nina "
    "Peter Anna Mark Julia Simon Clara Adam Elena Victor Laura Hugo Alice Felix Maya Ivan Rosa Carl Diana Tom Kate Paul Amy "
    "Jack Ella Sam Zoe Ben Lucy Max Eva Ryan Nora Sean Iris Kevin Holly Brian Joan Eric Dora Frank Vera George Helen"
).split()
ONSETS: Final = "b br c ch d f fl g gr h j k l m n p pr r s sh st t th tr v w z".split()
RIMES: Final = "an ar el en er ic in is on or al am ay eck ell ert ing ley man mont ner os oth ow son ton und us ver wick wood worth".split()
MIDS: Final = "a e i o u al an ar ea el en er il in ol on or ou".split()
PLACES_KO: Final = "서울 부산 제주 강릉 경주 여수 전주 속초 인천 대구 광주 대전 춘천 통영 포항 안동 목포 수원 울산 거제 남해 양양 평창 군산".split()
PLACES_EN: Final = (
    "Seoul Busan Jeju Gangneung Gyeongju Yeosu Jeonju Sokcho Incheon Daegu Paris London Tokyo Osaka Lisbon Vienna Prague Rome "
    "Madrid Boston Chicago Denver Seattle Berlin Dublin Oslo Athens Singapore Bangkok Sydney Kyoto Milan Zurich Geneva"
).split()
HOTEL_A_KO: Final = (
    "그랜드 로얄 한빛 바다 하늘 푸른 별빛 은하 해오름 솔향 달빛 금강 동백 오션 레이크 가온 누리 라온 다온 미르 아라 청송 백록 노을 "
    "한옥 시티 센트럴 스카이 파크 리버 새벽 햇살 은빛 나래 소담 온유 해운대 남산 설악 한라"
).split()
HOTEL_B_KO: Final = (
    "호텔 리조트 스테이 게스트하우스 하우스 펜션 레지던스 스위트 호스텔 팰리스호텔 비치호텔 관광호텔".split()
)
HOTEL_A_EN: Final = (
    "Grand Royal Harbor Ocean Lake Garden Sky Silver Golden Maple River Sunset Blue Central Park Palm Cedar Pine Crystal Amber "
    "Willow Coral Summit Valley Meadow Orchid Lotus Bay Rose Stone North South East West City Seaside Hilltop Imperial Riverside"
).split()
HOTEL_B_EN: Final = "Hotel Inn Resort Lodge Suites House Palace Residence Stay Hostel Villa Court Tower Plaza".split()
MONTHS: Final = "January February March April May June July August September October November December".split()
DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
DAYS_KO: Final = "월요일 화요일 수요일 목요일 금요일 토요일 일요일".split()
KO_SYLLABLES: Final = (
    "가 강 건 경 고 공 관 교 구 군 권 규 금 기 길 나 남 내 노 농 누 다 단 달 담 당 대 덕 도 동 두 라 람 래 로 루 류 리 린 마 만 말 매 "
    "명 모 목 무 문 물 미 민 바 박 반 발 방 배 백 번 범 벽 별 보 본 봉 부 북 분 비 빈 사 산 상 새 생 서 석 선 설 성 세 소 속 손 송 수 "
    "숙 순 술 승 시 식 신 실 심 아 안 암 애 야 약 양 어 언 여 연 열 염 영 예 오 온 옥 완 왕 요 용 우 운 울 원 월 위 유 육 윤 율 은 음 "
    "의 이 인 일 임 자 작 잔 장 재 저 적 전 점 정 제 조 족 존 종 좌 주 죽 준 중 지 직 진 질 집 차 찬 창 채 책 처 천 철 청 체 초 촌 총 "
    "추 축 춘 출 충 치 칠 침 카 코 쿠 크 타 탄 탑 태 터 토 통 투 트 파 판 팔 평 포 표 푸 품 풍 피 필 하 학 한 할 함 합 항 해 행 향 허 헌 "
    "현 협 형 호 혼 홍 화 확 환 활 황 회 효 후 훈 휴 흥 희"
).split()


def side_of(text: str) -> Side:
    """The side on which a value may appear; about one value in eight is for tests."""
    return "test" if zlib.crc32(text.encode()) % 8 == 0 else "train"


_JOSA = re.compile(r"(\S)(은\(는\)|이\(가\)|을\(를\)|과\(와\)|으로\(로\)|이\(\)|아\(야\))")
_FINAL_DIGITS: Final = set("013678")


def josa(text: str) -> str:
    """Choose Korean particles by the sound before them: "방을(를)" is "방을", "뷔페을(를)" is "뷔페를"."""

    def pick(match: re.Match[str]) -> str:
        last, pair = match[1], match[2]
        first, second = pair[:-1].split("(")
        code = (
            (ord(last) - 0xAC00) % 28
            if "가" <= last <= "힣"
            else (1 if last in _FINAL_DIGITS or last in "lmnrbkpt" else 0)
        )
        closed = code != 0 and not (first == "으로" and (code == 8 or last in "178"))
        return last + (first if closed else second)

    return _JOSA.sub(pick, text)


_PAIR = re.compile(r"(은|이|을|과|으로|아)\((는|가|를|와|로|야|)\)")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")


def choose(rng: random.Random, template: str) -> str:
    """Replace each ``(a|b|)`` of a template by one of its alternatives, inner ones first."""
    template = _PAIR.sub(r"\1⟨\2⟩", template)  # a pair of particles is no choice
    while match := _CHOICE.search(template):
        template = template[: match.start()] + rng.choice(match[1].split("|")) + template[match.end() :]
    return re.sub(r" {2,}", " ", template).replace("⟨", "(").replace("⟩", ")")


def fill(rng: random.Random, template: str, **slots: object) -> str:
    """A template with its alternatives chosen, its ``{slot}`` filled and its Korean particles fitted."""
    text = choose(rng, template)
    for name, value in slots.items():
        text = text.replace("{" + name + "}", str(value))
    return josa(text).strip()


_RELATIVE: Final = ("오늘", "내일", "모레", "today", "tomorrow", "이번 주", "this", "다음 주", "next")


def _backwards(first: str, last: str) -> bool:
    """Whether two days that depend on today are the wrong way round ("next Friday" to "this Wednesday")."""

    def place(text: str) -> tuple[int, int] | None:
        found = [n for n, word in enumerate(_RELATIVE) if text.startswith(word)]
        day = next((n for n, (en, ko) in enumerate(zip(DAYS, DAYS_KO, strict=True)) if text.endswith((en, ko))), 0)
        return (found[0], day) if found else None

    a, b = place(first), place(last)
    return a is not None and b is not None and a >= b


@dataclass(frozen=True)
class Values:
    """Draws values of one side and language. ``any_side`` values (times, prices) are not split."""

    rng: random.Random
    side: Side
    language: Language

    def pick(self, draw: Callable[[], str]) -> str:
        """A drawn value that belongs to this side."""
        while side_of(value := draw()) != self.side:
            pass
        return value

    def word(self) -> str:
        """An invented word of the language."""
        r = self.rng
        if self.language == "ko":
            return "".join(r.choices(KO_SYLLABLES, k=r.choice((2, 2, 3, 3, 4))))
        return (
            r.choice(ONSETS)
            + "".join(r.choice(MIDS) + r.choice(ONSETS) for _ in range(r.choice((0, 0, 1))))
            + r.choice(RIMES)
        )

    def guest(self) -> str:
        """A person's name."""
        r = self.rng
        if self.language == "ko" and r.random() < 0.93:
            return self.pick(lambda: r.choice(SURNAMES) + "".join(r.choices(GIVEN, k=r.choice((1, 2, 2, 2, 2)))))
        if r.random() < 0.25:
            return self.pick(lambda: f"{r.choice(ROMAN_GIVEN)}{r.choice(('-', ' ', ''))}{r.choice(ROMAN_LAST)}".title())
        last = Values(r, self.side, "en").word
        return self.pick(
            lambda: f"{r.choice(FIRST)} {last().title()}" if r.random() < 0.8 else f"{last()} {last()}".title()
        )

    def hotel(self) -> str:
        """A hotel's name."""
        r = self.rng
        if self.language == "ko" and r.random() < 0.9:

            def korean() -> str:
                first = r.choice(HOTEL_A_KO) if r.random() < 0.6 else "".join(r.choices(KO_SYLLABLES, k=2))
                place = r.choice(("", "", r.choice(PLACES_KO) + r.choice((" ", ""))))
                return place + first + r.choice((" ", " ", "")) + r.choice(HOTEL_B_KO)

            return self.pick(korean)
        invented = Values(r, self.side, "en").word

        def english() -> str:
            first = r.choice(HOTEL_A_EN) if r.random() < 0.6 else invented().title()
            second = r.choice((*HOTEL_B_EN, *HOTEL_B_EN, r.choice(HOTEL_A_EN)))
            place = r.choice(("", "", "", " " + r.choice(PLACES_EN)))
            return (r.choice(("", "", "", "The ", "Hotel ")) + f"{first} {second}{place}").replace(
                "Hotel Hotel", "Hotel"
            )

        return self.pick(english)

    def city(self) -> str:
        """A real or an invented town."""
        r = self.rng
        if r.random() < 0.35:
            return self.pick(
                lambda: self.word().title() if self.language == "en" else self.word()[:3] + r.choice(("", "시", "군"))
            )
        return r.choice(PLACES_KO if self.language == "ko" else PLACES_EN)

    def booking_id(self) -> str:
        """An id such as BK-2041."""
        r = self.rng
        prefix = r.choice(("BK-", "BK-", "BK-", "BK-", "RS-", "HT-", "BK", "R"))
        return self.pick(lambda: f"{prefix}{r.randint(1000, 99999)}")

    def email(self) -> str:
        """An e-mail address."""
        r, word = self.rng, Values(self.rng, self.side, "en").word
        return self.pick(
            lambda: (
                f"{word()}{r.choice(('', '.' + word(), str(r.randint(1, 99))))}@{r.choice((word(), 'example', 'mail'))}.{r.choice(('com', 'kr', 'net', 'org', 'co.kr'))}"
            )
        )

    def phone(self) -> str:
        """A telephone number."""
        r = self.rng
        return self.pick(
            lambda: (
                f"{r.choice(('010', '010', '02', '+82 10', '051'))}{(s := r.choice('-- '))}{r.randint(1000, 9999)}{s}{r.randint(0, 9999):04d}"
            )
        )

    def to(self) -> str:
        """Whom a message may go to."""
        return self.rng.choice((self.email, self.phone, self.guest))()

    def amount(self) -> tuple[str, int]:
        """An amount as people write it, and its number."""
        r = self.rng
        n = r.choice((r.randint(1, 99) * 10_000, r.randint(10, 999) * 1_000, r.randint(100, 9_999) * 100))
        forms = (
            [f"{n:,}원", f"{n:,} won", f"{n}", f"{n:,}", f"KRW {n:,}"]
            if self.language == "en"
            else [f"{n:,}원", f"{n}원", f"{n:,} 원"]
        )
        if self.language == "ko" and n % 10_000 == 0:
            forms += [f"{n // 10_000}만원", f"{n // 10_000}만 원"]
        return r.choice(forms), n

    def date(self, day: dt.date, style: int | None = None) -> str:
        """``day`` as people write it; ``style`` fixes the form."""
        r, m, d = self.rng, day.month, day.day
        if self.language == "ko":
            forms = [f"{m}월 {d}일", f"{m}월 {d}일", f"{m}월{d}일", f"{day}", f"{m}/{d}", f"{day.year}년 {m}월 {d}일"]
            forms += [
                f"{m}월 {d}일 {DAYS_KO[day.weekday()]}",
                f"{r.choice(('이번 주', '다음 주'))} {DAYS_KO[day.weekday()]}",
                r.choice(("내일", "모레", "오늘")),
            ]
        else:
            name, end = MONTHS[m - 1], "th" if d in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(d % 10, "th")
            forms = [
                f"{name} {d}",
                f"{name[:3]} {d}",
                f"{name} {d}{end}",
                f"{day}",
                f"{m}/{d}",
                f"{d} {name}",
                f"{name} {d}, {day.year}",
            ]
            forms += [
                f"{DAYS[day.weekday()]}, {name} {d}",
                f"{r.choice(('next', 'this'))} {DAYS[day.weekday()]}",
                r.choice(("tomorrow", "today")),
            ]
        return forms[r.randrange(len(forms)) if style is None else style % len(forms)]

    def stay(self) -> tuple[str, str]:
        """Check-in and check-out as people write them, in one form; both belong to this side (except words such as tomorrow)."""
        r = self.rng
        while True:
            first = dt.date(2026, 1, 1) + dt.timedelta(days=r.randrange(600))
            last = first + dt.timedelta(days=r.choice((1, 1, 2, 2, 3, 4, 5, 7, 10)))
            style = r.randrange(9 if self.language == "ko" else 10)
            a, b = self.date(first, style), self.date(last, style if r.random() < 0.85 else 0)
            if self.language == "ko" and style < 2 and first.month == last.month and r.random() < 0.2:
                b = f"{last.day}일"
            if (
                a != b
                and not _backwards(a, b)
                and side_of(a) == self.side
                and (side_of(b) == self.side or self.side == "train")
            ):
                return a, b

    def guests(self) -> tuple[str, int]:
        """A number of people as people write it, and the number."""
        r = self.rng
        n = r.choice((1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8))
        if self.language == "ko":
            native = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟")[n]
            return r.choice(
                (f"{n}명", f"{n}명", f"{n}인", f"{native} 명", f"{native} 사람", f"성인 {n}명", f"총 {n}명", f"{n} 명")
            ), n
        word = ("", "one", "two", "three", "four", "five", "six", "seven", "eight")[n]
        noun = r.choice(("guest", "person", "adult")) if n == 1 else r.choice(("guests", "people", "adults", "persons"))
        return r.choice((f"{n} {noun}", f"{word} {noun}", f"{n} {noun}", f"{word}" if n > 1 else f"{n} {noun}")), n


ROMAN_GIVEN: Final = (
    "minsu jiyoung hyunwoo seoyeon jihoon yuna minji doyun haeun jisoo taeyang eunji sejin woojin".split()
)
ROMAN_LAST: Final = "kim lee park choi jung kang cho yoon jang lim han oh seo shin kwon hwang ahn song".split()
