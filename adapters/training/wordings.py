"""How people ask the front desk, in Korean and English. The last two of every list here are for tests only.

An opening is a frame around a verb phrase ("Could you {do}?" around "book a room {parts}"), or a whole saying.
``{parts}`` is where the fragments of the given arguments go.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

from typing import Final

from state import Language

FRAMES: Final[dict[Language, list[str]]] = {
    "en": [
        "{do}", "{do}.", "Please {do}.", "Please {do}", "{do}, please.", "Can you {do}?", "Could you {do}?", "Could you please {do}?", "I'd like to {do}.",
        "I want to {do}", "I need to {do}.", "I would like you to {do}.", "Hi, {do}.", "Hello, can you {do}?", "Would you {do}?", "Help me {do}.",
        "Let's {do}.", "I have to {do} today.", "Good morning, I'd like to {do}.", "We need to {do}", "My boss asked me to {do}.", "Ok, {do} now.",
        "Would it be possible to {do}?", "Be so kind as to {do}.",
    ],
    "ko": [
        "{do} 주세요", "{do} 주세요.", "{do} 줘", "{do} 주시겠어요?", "{do} 줄래?", "{do} 주실 수 있나요?", "안녕하세요, {do} 주세요.", "{do} 주십시오.", "{do} 줄 수 있어?",
        "혹시 {do} 주실 수 있을까요?", "지금 {do} 주세요", "{do} 주시면 감사하겠습니다.", "{do} 달라고 합니다", "죄송하지만 {do} 주세요.", "빨리 {do} 주세요", "{do} 줘요",
        "네, {do} 주세요.", "{do} 주시길 바랍니다.", "바로 {do} 주실래요?", "{do} 주면 좋겠어요",
        "수고하십니다, {do} 주시기 바랍니다.", "{do} 주시면 안 될까요?",
    ],
}  # fmt: skip

DO: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "book_room": ["book a room {parts}", "reserve a room {parts}", "make a reservation {parts}", "book {parts}", "make a booking {parts}", "reserve {parts}", "set up a booking {parts}", "get a room {parts}", "arrange a stay {parts}", "put down a reservation {parts}"],
        "search_hotels": ["find hotels {parts}", "search for hotels {parts}", "show me hotels {parts}", "look for a hotel {parts}", "list hotels {parts}", "find a place to stay {parts}", "check which hotels are free {parts}", "find somewhere to sleep {parts}", "see the hotels {parts}"],
        "cancel_booking": ["cancel booking {parts}", "cancel my booking {parts}", "cancel the reservation {parts}", "cancel {parts}", "call off the booking {parts}", "drop the reservation {parts}", "delete booking {parts}", "void my reservation {parts}", "take back the booking {parts}"],
        "issue_refund": ["refund {parts}", "issue a refund {parts}", "pay back {parts}", "give a refund {parts}", "return the money {parts}", "make a refund {parts}", "process a refund {parts}", "reimburse {parts}", "send the money back {parts}"],
        "send_message": ["send a message {parts}", "text {parts}", "write {parts}", "message {parts}", "send word {parts}", "send a note {parts}", "let know {parts}", "drop a line {parts}", "pass on a message {parts}"],
        "find_booking": ["find booking {parts}", "look up booking {parts}", "show me the reservation {parts}", "check booking {parts}", "find the reservation {parts}", "pull up booking {parts}", "open the booking {parts}", "tell me the status of booking {parts}", "bring up reservation {parts}"],
    },
    "ko": {
        "book_room": ["{parts} 예약해", "{parts} 방 예약해", "{parts} 객실 예약해", "{parts} 방을 잡아", "{parts} 객실을 잡아", "{parts} 예약 좀 해", "{parts} 예약을 진행해", "{parts} 방 하나 예약해", "{parts} 숙박 예약해", "{parts} 예약을 넣어"],
        "search_hotels": ["{parts} 호텔 찾아", "{parts} 호텔을 검색해", "{parts} 호텔 보여", "{parts} 숙소 찾아", "{parts} 묵을 곳을 찾아", "{parts} 호텔 목록을 보여", "{parts} 호텔 알아봐", "{parts} 숙소를 추천해", "{parts} 잘 곳 좀 알아봐"],
        "cancel_booking": ["{parts} 예약을 취소해", "{parts} 예약 취소해", "{parts} 취소해", "{parts} 건을 취소해", "{parts} 예약을 없애", "{parts} 예약 취소 처리해", "{parts} 예약을 빼", "{parts} 예약을 지워", "{parts} 예약 철회해"],
        "issue_refund": ["{parts} 환불해", "{parts} 환불 처리해", "{parts} 돌려", "{parts} 환불을 진행해", "{parts} 환불 좀 해", "{parts} 되돌려", "{parts} 환급해", "{parts} 돈을 돌려", "{parts} 환불 넣어"],
        "send_message": ["{parts} 메시지 보내", "{parts} 문자 보내", "{parts} 전해", "{parts} 메시지를 전달해", "{parts} 연락해", "{parts} 알려", "{parts} 문자 한 통 보내", "{parts} 메일 보내", "{parts} 쪽지 남겨"],
        "find_booking": ["{parts} 예약을 찾아", "{parts} 예약 조회해", "{parts} 예약을 확인해", "{parts} 예약 내역 보여", "{parts} 예약 상태를 알려", "{parts} 조회해", "{parts} 예약 정보를 보여", "{parts} 예약을 열어", "{parts} 예약 좀 들여다봐"],
    },
}  # fmt: skip

SAY: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "book_room": ["I need a room {parts}.", "We want to stay {parts}", "Do you have a room {parts}? Book it.", "A room {parts}, please.", "Reservation {parts}.", "Room wanted {parts}."],
        "search_hotels": ["Which hotels are there {parts}?", "Any hotels {parts}?", "What hotels do you have {parts}?", "Where can I stay {parts}?", "I am looking for a hotel {parts}.", "Hotels {parts}?"],
        "cancel_booking": ["I can't come, so cancel {parts}.", "I no longer need booking {parts}.", "Cancellation of {parts} please.", "Booking {parts} should be cancelled.", "We will not be using booking {parts}.", "Scrap booking {parts}."],
        "issue_refund": ["The guest wants a refund {parts}.", "A refund {parts}, please.", "Refund please {parts}.", "The guest should get back {parts}.", "We owe the guest a refund {parts}.", "Money back {parts}."],
        "send_message": ["A message {parts}.", "Please send this {parts}", "New message {parts}", "Message for the guest {parts}", "Deliver this message {parts}", "Word {parts}"],
        "find_booking": ["What is the status of {parts}?", "What do we have under {parts}?", "Is booking {parts} confirmed?", "Who booked {parts}?", "Details of booking {parts}, please.", "What does booking {parts} say?"],
    },
    "ko": {
        "book_room": ["{parts} 예약 부탁드립니다.", "{parts} 예약하고 싶어요", "{parts} 묵고 싶습니다.", "{parts} 예약할게요", "{parts} 방 있으면 예약할게요.", "{parts} 예약하려고 합니다.", "{parts} 방이 필요합니다.", "{parts} 머물 방 하나요."],
        "search_hotels": ["{parts} 어떤 호텔이 있나요?", "{parts} 호텔 있어요?", "{parts} 묵을 만한 호텔이 있을까요?", "{parts} 호텔을 찾고 있어요.", "{parts} 호텔 검색 부탁드립니다.", "{parts} 갈 만한 숙소 있나요?", "{parts} 쉴 만한 호텔은요?"],
        "cancel_booking": ["{parts} 예약 취소 부탁드립니다.", "{parts} 예약을 취소하고 싶어요", "{parts} 취소할게요.", "{parts} 예약은 필요 없어졌어요. 취소요.", "{parts} 취소 요청합니다.", "{parts} 예약 취소하려고요.", "{parts} 없던 일로 해 주세요."],
        "issue_refund": ["{parts} 환불 부탁드립니다.", "{parts} 환불받고 싶대요", "{parts} 환불 요청입니다.", "{parts} 환불해야 합니다.", "{parts} 환불하려고 합니다.", "{parts} 환불 바랍니다.", "{parts} 돌려드려야 해요."],
        "send_message": ["{parts} 메시지 부탁드립니다.", "{parts} 문자 부탁해요", "{parts} 전달 부탁드립니다.", "{parts} 메시지를 보내고 싶어요.", "{parts} 연락 부탁드려요.", "{parts} 보내 주세요.", "{parts} 전갈 부탁합니다."],
        "find_booking": ["{parts} 예약이 어떻게 되어 있나요?", "{parts} 예약 확인 부탁드립니다.", "{parts} 예약 상태가 어떤가요?", "{parts} 예약 내용을 알고 싶어요.", "{parts} 확정된 예약인가요?", "{parts} 누구 예약이에요?", "{parts} 예약 살펴봐 주세요."],
    },
}  # fmt: skip

FRAGMENTS: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "hotel": ["at {hotel}", "at {hotel}", "in {hotel}", "with {hotel}", "at the {hotel}", "for {hotel}", "over at {hotel}"],
        "guest": ["for {guest}", "under the name {guest}", "under {guest}", "in the name of {guest}", "for a guest called {guest}", "name: {guest}", "guest {guest}", "made out to {guest}"],
        "stay": ["from {check_in} to {check_out}", "{check_in} to {check_out}", "from {check_in} until {check_out}", "checking in {check_in} and out {check_out}", "arriving {check_in}, leaving {check_out}", "check-in {check_in}, check-out {check_out}", "between {check_in} and {check_out}", "from {check_in} through {check_out}"],
        "check_in": ["from {check_in}", "checking in on {check_in}", "arriving {check_in}", "check-in {check_in}", "on {check_in}", "starting {check_in}", "coming on {check_in}"],
        "check_out": ["until {check_out}", "checking out on {check_out}", "leaving {check_out}", "check-out {check_out}", "to {check_out}", "ending {check_out}", "going home on {check_out}"],
        "guests": ["for {guests}", "for {guests}", "with {guests}", "{guests}", "we are {guests}", "party of {guests}", "there will be {guests}"],
        "room_type": ["in {room_type}", "{room_type}", "with {room_type}", "{room_type} if possible", "preferably {room_type}", "and make it {room_type}"],
        "city": ["in {city}", "in {city}", "around {city}", "near {city}", "for {city}", "close to {city}", "somewhere in {city}"],
        "booking_id": ["{booking_id}", "{booking_id}", "number {booking_id}", "for booking {booking_id}", "for {booking_id}", "with id {booking_id}", "on {booking_id}", "no. {booking_id}"],
        "amount": ["{amount}", "of {amount}", "{amount}", "an amount of {amount}", "worth {amount}", "the sum of {amount}", "{amount} in total"],
        "reason": ["because {reason}", "reason: {reason}", "since {reason}", "as {reason}", "({reason})", "- {reason}", "the reason is {reason}", "on account of this: {reason}"],
        "to": ["to {to}", "to {to}", "for {to}", "to {to}", "addressed to {to}", "to our guest {to}", "going to {to}"],
        "text": ["saying {text}", ": {text}", "that says {text}", "\"{text}\"", "'{text}'", "with the text {text}", "saying \"{text}\"", "- {text}", "with these words: {text}"],
    },
    "ko": {
        "hotel": ["{hotel}에", "{hotel}", "{hotel}으로(로)", "{hotel}에서", "{hotel} 쪽에", "{hotel}에다", "호텔은 {hotel},"],
        "guest": ["{guest} 이름으로", "{guest} 명의로", "{guest} 님 이름으로", "예약자 {guest},", "투숙객은 {guest},", "{guest} 앞으로", "이름은 {guest}이고", "{guest} 씨 이름으로", "고객명 {guest}으로(로)", "{guest} 님 것으로"],
        "stay": ["{check_in}부터 {check_out}까지", "{check_in}에서 {check_out}까지", "{check_in} 체크인 {check_out} 체크아웃으로", "체크인 {check_in}, 체크아웃 {check_out},", "{check_in} ~ {check_out}", "{check_in}에 들어가서 {check_out}에 나오는", "{check_in}~{check_out}", "{check_in} 입실 {check_out} 퇴실로"],
        "check_in": ["{check_in}부터", "{check_in} 체크인으로", "체크인 {check_in},", "{check_in}에 도착해서", "{check_in}에", "{check_in} 입실로", "{check_in} 시작으로"],
        "check_out": ["{check_out}까지", "{check_out} 체크아웃으로", "체크아웃 {check_out},", "{check_out}에 나가는", "{check_out} 퇴실로", "{check_out}에 떠나는"],
        "guests": ["{guests}", "{guests}이서", "{guests}으로(로)", "인원은 {guests},", "{guests} 묵을", "{guests}이(가)", "{guests} 기준으로"],
        "room_type": ["{room_type}으로(로)", "{room_type}", "{room_type} 타입으로", "객실은 {room_type},", "가능하면 {room_type}으로(로)", "되도록 {room_type}으로(로)"],
        "city": ["{city}에", "{city}에서", "{city} 근처", "{city}", "{city} 쪽", "{city} 시내", "{city} 안에"],
        "booking_id": ["{booking_id}", "{booking_id}", "예약번호 {booking_id}", "{booking_id}번", "예약 {booking_id}", "번호 {booking_id}", "{booking_id} 건", "{booking_id}인 것"],
        "amount": ["{amount}", "{amount}을(를)", "{amount} 정도를", "금액 {amount}", "총 {amount}", "{amount}만큼", "합쳐서 {amount}"],
        "reason": ["{reason} 때문에", "사유는 {reason},", "{reason}이유로", "이유: {reason},", "({reason})", "{reason} 사유로", "{reason} 탓에"],
        "to": ["{to}에게", "{to}으로(로)", "{to} 님에게", "{to} 앞으로", "{to}한테", "{to} 쪽으로", "{to} 님께"],
        "text": ["'{text}'라고", "\"{text}\"라고", "{text}라고", "{text} 라고", "내용은 '{text}',", "\"{text}\"", "'{text}'라는 말을"],
    },
}  # fmt: skip

REPLIES: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "any": ["{value}", "{value}.", "{value} please", "It's {value}.", "It is {value}", "That would be {value}.", "Sorry, {value}.", "Oh, {value}", "{value}, thanks"],
        "guest": ["{value}", "{value}.", "My name is {value}.", "The name is {value}", "Under {value}.", "I am {value}", "It's for {value}."],
        "guests": ["{value}", "{value}.", "We are {value}.", "For {value}", "There are {value}", "Just {value}"],
    },
    "ko": {
        "any": ["{value}", "{value}이요", "{value}입니다", "{value}예요", "{value}이에요.", "아, {value}입니다.", "네, {value}요", "{value}으로(로) 해 주세요", "{value}으로(로) 부탁해요"],
        "guest": ["{value}", "{value}입니다", "{value}이에요", "제 이름은 {value}입니다.", "{value} 이름으로요", "{value}요"],
        "guests": ["{value}", "{value}이요", "{value}입니다", "{value}이에요", "저희는 {value}입니다.", "{value}으로(로) 해 주세요"],
        "text": ["{value}", "'{value}'라고요", "\"{value}\"라고 보내 주세요", "{value}라고 해 주세요"],
    },
}  # fmt: skip

ASK: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "hotel": ["Which hotel should it be?"], "guest": ["Under which name should I book?"], "check_in": ["On which date do you check in?"],
        "check_out": ["On which date do you check out?"], "guests": ["For how many guests?"], "city": ["In which city?"],
        "booking_id": ["What is the booking number?"], "amount": ["How much should be refunded?"], "to": ["Who should get the message?"],
        "text": ["What should the message say?"],
    },
    "ko": {
        "hotel": ["어느 호텔로 할까요?"], "guest": ["어느 분 이름으로 예약할까요?"], "check_in": ["체크인 날짜를 알려 주시겠어요?"],
        "check_out": ["체크아웃 날짜를 알려 주시겠어요?"], "guests": ["몇 분이 묵으시나요?"], "city": ["어느 도시인가요?"],
        "booking_id": ["예약 번호를 알려 주시겠어요?"], "amount": ["얼마를 환불할까요?"], "to": ["누구에게 보낼까요?"],
        "text": ["어떤 내용을 보낼까요?"],
    },
}  # fmt: skip

REASONS: Final[dict[Language, list[str]]] = {
    "en": ["the guest is ill", "the flight was cancelled", "the air conditioner was broken", "double charged", "plans changed", "the room was too noisy", "bad weather", "a family emergency", "the heating did not work", "overbooked", "the guest left early", "a work meeting came up", "the shower was cold", "wrong dates", "a death in the family", "the train was late"],
    "ko": ["고객 질병", "항공편 결항", "에어컨 고장", "이중 결제", "일정 변경", "소음 문제", "악천후", "가족 사정", "난방 고장", "초과 예약", "조기 퇴실", "회의 일정", "온수 문제", "날짜 착오", "가족상", "기차 지연"],
}  # fmt: skip

TEXTS: Final[dict[Language, list[str]]] = {
    "en": ["your room is ready", "I will arrive at {n} pm", "please call the front desk", "your booking is confirmed", "we found your umbrella", "the shuttle leaves at {n}", "thank you for staying with us", "your taxi is here", "breakfast starts at {n}", "see you on {date}", "{guest} is waiting in the lobby", "we will be {n} minutes late", "your luggage is at the front desk", "the meeting moved to {date}", "please pay at the front desk", "your key card is at the desk"],
    "ko": ["방이 준비되었습니다", "{n}시에 도착합니다", "프런트로 전화 주세요", "예약이 확정되었습니다", "우산을 찾았습니다", "셔틀은 {n}시에 출발합니다", "이용해 주셔서 감사합니다", "택시가 도착했습니다", "조식은 {n}시에 시작합니다", "{date}에 뵙겠습니다", "{guest} 님이 로비에서 기다립니다", "{n}분 늦습니다", "짐은 프런트에 있습니다", "회의가 {date}로 옮겨졌습니다", "프런트에서 결제해 주세요", "카드키는 데스크에 있습니다"],
}  # fmt: skip


def openings(language: Language, intent: str, *, heldout: bool) -> list[str]:
    """All openings of an intent: those for training, or those that only tests use."""
    frames, phrases, sayings = FRAMES[language], DO[language][intent], SAY[language][intent]
    if heldout:
        pairs = [(f, d) for f in frames for d in phrases[-2:]] + [(f, d) for f in frames[-2:] for d in phrases[:-2]]
        return [f.replace("{do}", d) for f, d in pairs] + sayings[-2:] * 8
    return [f.replace("{do}", d) for f in frames[:-2] for d in phrases[:-2]] + sayings[:-2] * 20
