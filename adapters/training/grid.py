"""Questions about facilities by aspect: every thing that a house has can be asked for its time, price, place and rules.

A grid of things and aspects, so that the wrong sentences are close: the same thing in another aspect, the same aspect
of another thing. The sample questions were known when it was written (none is in it); held-out wordings are those of
``qa`` alone.
"""

# ruff: noqa: E501 - one wording a line reads better than a wrapped one

from __future__ import annotations

import random
from typing import Final

from adapters.prompt import Turn
from adapters.training.examples import Example
from adapters.training.qa import bare, sample_questions, sample_sentences, slots
from adapters.training.words import Side, Values, fill
from state import Language

THINGS: Final[dict[Language, list[str]]] = {
    "en": [
        "the pool/the swimming pool", "the gym/the fitness room", "the sauna/the steam bath", "the restaurant/the dining room", "the bar/the lounge", "breakfast/the morning meal", "dinner/the evening meal", "the car park/parking/the garage",
        "the shuttle/the shuttle bus/the hotel bus", "the laundry/laundry service", "room service/meals in the room", "the luggage room/luggage storage", "the business centre/the office corner", "the meeting room/the conference room", "the playground/the children's area", "the kids club/child care",
        "the spa/a massage", "the roof terrace/the terrace", "the library/the reading room", "the gift shop/the souvenir shop", "the bakery/the cafe", "the bike rental/bicycles", "the karaoke room/the singing room", "the golf range/golf practice", "the barbecue/the grill area",
        "an extra bed/a spare bed", "a baby cot/a crib", "late check-out/leaving late", "early check-in/arriving early", "the safe/the strong box", "the minibar/drinks in the room", "the printer/printing", "airport pickup/a ride from the airport", "the city tour/the guided tour", "a wake-up call/being woken", "the hot spring/the bath house", "the game room/table tennis", "the beach/the private beach", "the ski storage/skis", "the wine cellar/wine tasting",
        "the charging station/car charging", "a pet/a dog/a cat", "the membership/the loyalty card", "the deposit/the security deposit", "a refund/money back", "lost property/lost things", "internet/the wifi/wireless internet",
    ],
    "ko": [
        "수영장/풀장", "헬스장/피트니스/운동 시설", "사우나/찜질방", "레스토랑/식당", "바/라운지", "조식/아침/아침 식사", "석식/저녁/저녁 식사", "주차장/주차/차고",
        "셔틀/셔틀버스/호텔 버스", "세탁실/세탁/빨래", "룸서비스/객실 식사", "짐 보관/수하물 보관/짐 맡기기", "비즈니스 센터/사무 공간", "회의실/세미나실", "놀이터/어린이 놀이방", "키즈 클럽/아이 돌봄",
        "스파/마사지", "옥상 테라스/테라스", "도서관/독서실", "기념품점/선물 가게", "베이커리/카페", "자전거 대여/자전거", "노래방/가라오케", "골프 연습장/골프", "바비큐장/고기 굽는 곳",
        "추가 침대/엑스트라 베드", "아기 침대/유아용 침대", "늦은 체크아웃/레이트 체크아웃/늦은 퇴실", "이른 체크인/얼리 체크인/이른 입실", "금고/안전 금고", "미니바/객실 음료", "프린터/인쇄", "공항 픽업/공항 마중", "시내 투어/관광 안내", "모닝콜/깨워 주기", "온천/대욕장", "오락실/탁구장", "해변/전용 해변", "스키 보관소/스키", "와인 저장고/와인 시음",
        "전기차 충전/충전소", "반려동물/강아지/개/고양이", "멤버십/회원 카드", "보증금/예치금", "환불/돈 돌려받기", "분실물/잃어버린 물건", "인터넷/와이파이/무선 인터넷",
    ],
}  # fmt: skip
ASPECTS: Final[dict[Language, dict[str, tuple[list[str], list[str]]]]] = {
    "en": {
        "time": (
            ["When is {x} open?", "What are the hours of {x}?", "From when to when is {x}?", "At what time does {x} start?", "Until when can I use {x}?", "How late is {x}?", "What time is {x}?", "When can I have {x}?", "Opening times of {x}?", "when does {x} close", "Is {x} open at {t1}?"],
            ["{x} is open from {t1} to {t2}.", "{x} is available between {t1} and {t2}.", "{x} starts at {t1} and ends at {t2}.", "You can use {x} until {t2}.", "{x} closes at {t2}.", "Hours of {x}: {t1} to {t2}.", "On weekends {x} is open until {t2}.", "{x} runs from {t1}."],
        ),
        "price": (
            ["How much is {x}?", "What does {x} cost?", "What is the price of {x}?", "Is {x} free?", "Do I have to pay for {x}?", "What do you charge for {x}?", "Is there a fee for {x}?", "how expensive is {x}", "Does {x} cost anything?", "Is {x} included?"],
            ["{x} costs {won}.", "{x} is free of charge.", "The price of {x} is {won} a day.", "We charge {won} for {x}.", "{x} is {won} per person.", "For {x} guests pay {won}.", "{x} is included in the room rate.", "The fee for {x} is {won}.", "Adults pay {won} for {x}, children {won2}."],
        ),
        "place": (
            ["Where is {x}?", "On which floor is {x}?", "Where do I find {x}?", "How do I get to {x}?", "Where can I find {x}?", "which way to {x}", "Which floor is {x} on?", "Where exactly is {x}?"],
            ["{x} is on {floor}.", "You find {x} next to {place}.", "{x} is behind {place}.", "{x} is located at {place}.", "Go to {floor} for {x}.", "The way to {x} leads through {place}.", "{x} is in {place}."],
        ),
        "book": (
            ["Can I reserve {x}?", "Do I have to book {x}?", "Do I need a reservation for {x}?", "How do I book {x}?", "Must I order {x} in advance?", "How can I sign up for {x}?", "Who do I ask for {x}?"],
            ["Please reserve {x} at {place}.", "{x} must be booked {n} hours in advance.", "No reservation is needed for {x}.", "{x} can be booked by phone.", "To book {x}, call {n2}.", "Ask for {x} at {place}.", "{x} cannot be reserved."],
        ),
        "rule": (
            ["Can children use {x}?", "Who may use {x}?", "Are there rules for {x}?", "Is {x} allowed for children?", "May my friends use {x}?", "From what age is {x}?", "Is {x} only for guests?"],
            ["Children under {n} may use {x} with an adult only.", "{x} is for hotel guests only.", "{x} is allowed from {n} years.", "Visitors may not use {x}.", "For {x} you need a room key.", "Only members may use {x}."],
        ),
        "many": (
            ["How many people fit into {x}?", "How big is {x}?", "How many are there of {x}?", "How many places has {x}?", "What is the limit for {x}?", "How many at most for {x}?"],
            ["{x} has room for {n} people.", "{x} holds {n} guests.", "At most {n} are allowed for {x}.", "There are {n} places for {x}.", "The limit for {x} is {n}.", "Up to {n} per room: {x}."],
        ),
        "long": (
            ["How long does {x} take?", "How long is {x}?", "For how long can I use {x}?", "How often is {x}?", "How many minutes does {x} take?", "How many days does {x} take?"],
            ["{x} takes {n} minutes.", "{x} lasts {n} hours.", "You may use {x} for {n} hours.", "{x} comes every {n} minutes.", "{x} takes about {n} days.", "Allow {n} days for {x}."],
        ),
        "closed": (
            ["Is {x} closed?", "Why is {x} not open?", "When is {x} closed for cleaning?", "On which day is {x} closed?", "Is {x} being repaired?"],
            ["{x} is closed on Mondays.", "{x} is closed for repairs until {t1}.", "{x} is not available at present.", "There is no {x} in winter.", "{x} is closed for cleaning on Tuesdays."],
        ),
    },
    "ko": {
        "time": (
            ["{x}은(는) 몇 시부터예요?", "{x} 운영 시간이 어떻게 되나요?", "{x}은(는) 언제 여나요?", "{x}은(는) 몇 시까지 하나요?", "{x} 언제까지 이용할 수 있나요?", "{x} 시간 알려 주세요", "{x}은(는) 언제 닫아요?", "{x} 몇 시에 시작해요?", "{x}은(는) 몇 시인가요?", "{x}을(를) 언제 쓸 수 있어요?", "{t1}에도 {x} 하나요?"],
            ["{x}은(는) {t1}부터 {t2}까지 운영합니다.", "{x} 이용 시간은 {t1}~{t2}입니다.", "{x}은(는) {t1}에 열고 {t2}에 닫습니다.", "{x}은(는) {t2}까지 이용하실 수 있습니다.", "{x}은(는) {t1}에 시작합니다.", "주말에는 {x}을(를) {t2}까지 엽니다.", "{x} 마감은 {t2}입니다."],
        ),
        "price": (
            ["{x}은(는) 얼마예요?", "{x} 요금이 얼마인가요?", "{x}은(는) 무료인가요?", "{x} 비용이 드나요?", "{x} 돈을 내야 하나요?", "{x} 가격 알려 주세요", "{x} 이용료가 있나요?", "{x} 요금이 어떻게 되나요?", "{x}은(는) 포함인가요?", "{x} 값이 얼마죠?"],
            ["{x} 요금은 {won}입니다.", "{x}은(는) 무료입니다.", "{x}은(는) 하루에 {won}입니다.", "{x} 이용료는 1인당 {won}입니다.", "{x}에는 {won}을 받습니다.", "{x}은(는) 객실 요금에 포함됩니다.", "{x} 비용은 성인 {won}, 어린이 {won2}입니다.", "{x}을(를) 쓰시려면 {won}을 내셔야 합니다."],
        ),
        "place": (
            ["{x}은(는) 어디에 있나요?", "{x}은(는) 몇 층이에요?", "{x} 위치가 어디예요?", "{x}에 어떻게 가나요?", "{x}은(는) 어디예요?", "{x} 어디서 찾을 수 있나요?", "{x} 가는 길 알려 주세요"],
            ["{x}은(는) {floor}에 있습니다.", "{x}은(는) {place} 옆에 있습니다.", "{x}은(는) {place} 뒤쪽입니다.", "{x} 위치는 {floor}입니다.", "{x}은(는) {place}에서 찾으실 수 있습니다.", "{floor}으로 가시면 {x}이(가) 있습니다."],
        ),
        "book": (
            ["{x}을(를) 예약할 수 있나요?", "{x} 예약해야 하나요?", "{x}은(는) 어떻게 신청하나요?", "{x} 미리 말해야 해요?", "{x} 신청 방법이 뭐예요?", "{x}은(는) 누구에게 말하나요?"],
            ["{x}은(는) {place}에서 예약하시면 됩니다.", "{x}은(는) {n}시간 전에 예약하셔야 합니다.", "{x}은(는) 예약 없이 이용하실 수 있습니다.", "{x}은(는) 전화로 신청하실 수 있습니다.", "{x} 신청은 {place}에 하십시오.", "{x}은(는) 예약을 받지 않습니다."],
        ),
        "rule": (
            ["{x}은(는) 아이도 되나요?", "{x}은(는) 누가 쓸 수 있나요?", "{x} 이용 규칙이 있나요?", "{x} 어린이도 이용할 수 있어요?", "{x}은(는) 투숙객만 되나요?", "{x}은(는) 몇 살부터예요?", "친구도 {x}을(를) 써도 되나요?"],
            ["{n}세 미만 어린이는 보호자와 함께 {x}을(를) 이용해야 합니다.", "{x}은(는) 투숙객만 이용하실 수 있습니다.", "{x}은(는) {n}세부터 이용하실 수 있습니다.", "방문객은 {x}을(를) 이용할 수 없습니다.", "{x}에는 객실 키가 필요합니다.", "{x}은(는) 회원만 씁니다."],
        ),
        "many": (
            ["{x}은(는) 몇 명까지 되나요?", "{x}은(는) 얼마나 커요?", "{x}은(는) 몇 개나 있나요?", "{x} 정원이 몇 명이에요?", "{x} 최대 몇까지예요?"],
            ["{x} 정원은 {n}명입니다.", "{x}에는 {n}명까지 들어갑니다.", "{x}은(는) 객실당 최대 {n}까지입니다.", "{x}은(는) 모두 {n}개 있습니다.", "{x} 한도는 {n}입니다."],
        ),
        "long": (
            ["{x}은(는) 얼마나 걸리나요?", "{x} 몇 분 걸려요?", "{x}은(는) 며칠 걸리나요?", "{x}은(는) 얼마 동안 쓸 수 있나요?", "{x}은(는) 몇 분마다 있나요?", "{x}은(는) 자주 있나요?"],
            ["{x}은(는) {n}분 걸립니다.", "{x}은(는) {n}시간 동안 합니다.", "{x}은(는) {n}시간까지 쓰실 수 있습니다.", "{x}은(는) {n}분마다 있습니다.", "{x}에는 약 {n}일이 걸립니다.", "{x} 간격은 {n}분입니다."],
        ),
        "closed": (
            ["{x}은(는) 쉬는 날이 언제예요?", "{x}은(는) 왜 안 열어요?", "{x} 휴무일이 있나요?", "{x} 공사 중인가요?", "{x}은(는) 언제 쉬나요?"],
            ["{x}은(는) 월요일에 쉽니다.", "{x}은(는) {t1}까지 공사 중입니다.", "{x}은(는) 지금 이용하실 수 없습니다.", "겨울에는 {x}을(를) 열지 않습니다.", "{x} 휴무일은 화요일입니다."],
        ),
    },
}  # fmt: skip


def _line(v: Values, thing: str, aspect: str, *, question: bool) -> str:
    name = v.rng.choice(thing.split("/"))
    forms = ASPECTS[v.language][aspect][0 if question else 1]
    while True:
        text = (
            fill(v.rng, fill(v.rng, v.rng.choice(forms), x=name), **slots(v))
            .replace("no the ", "no ")
            .replace("no a ", "no ")
        )
        text = text[0].upper() + text[1:]
        if text not in sample_sentences() and bare(text) not in sample_questions():
            return text


def example(rng: random.Random, side: Side, language: Language, *, abstain: bool = False) -> Example:
    """A question about one aspect of one thing, among sentences that are near to it; or (``abstain``) none answers."""
    v = Values(rng, side, language)
    things = rng.sample(THINGS[language], k=4)
    aspects = list(ASPECTS[language])
    thing, aspect = things[0], rng.choice(aspects)
    near = [(thing, a) for a in aspects if a != aspect] + [(t, aspect) for t in things[1:]]
    cells = rng.sample(near, k=rng.choice((2, 3, 4))) + [(t, rng.choice(aspects)) for t in things[1:]]
    said = {_line(v, t, a, question=False): f"{t}.{a}" for t, a in cells if (t, a) != (thing, aspect)}
    asked, about = _line(v, thing, aspect, question=True), f"{thing}.{aspect}"
    some, n = list(said.items()), 0
    if not abstain:
        n = rng.randint(1, len(some) + 1)
        some.insert(n - 1, (_line(v, thing, aspect, question=False), about))
    return Example(
        "choose" if n else "abstain", "grid", language, [Turn("user", asked)], [], [line for line, _ in some], n=n,
        group=about, told=[told for _, told in some],
    )  # fmt: skip
