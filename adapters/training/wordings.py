"""How people ask the front desk, in Korean and English. The last two of every list here are for tests only.

More wordings stand in ``grammar/desk.<language>.txt``; which of its lines are for tests only is decided by a hash.

An opening is a frame around a verb phrase ("Could you {do}?" around "book a room {parts}"), or a whole saying.
``{parts}`` is where the fragments of the given arguments go.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

import random
import zlib
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from adapters.training.words import Side
from state import Language

GRAMMAR: Final = Path(__file__).parent / "grammar"

FRAMES: Final[dict[Language, list[str]]] = {
    "en": ["{do} for me", "{do} for me, please.", "Can we {do}?", "Could we {do}?", "I'm calling to {do}.", "I am writing to {do}.", "Is it possible to {do}?", "May I {do}?", "Time to {do}.", "Kindly {do}.", "Please help me to {do}.", "Next, {do}.", "Can somebody {do}?", "You should {do}", "I was told to {do}.", "The guest asked me to {do}.", "Hey, {do}", "Sorry, can you {do}?", "Now {do}", "Go ahead and {do}.", "Do me a favour and {do}.", "Quickly {do}, please.", "I'd appreciate it if you could {do}.", "It is time to {do}.", "Could someone {do}?", "We'd like to {do}, please.", "{do}", "{do}.", "Please {do}.", "Please {do}", "{do}, please.", "Can you {do}?", "Could you {do}?", "Could you please {do}?", "I'd like to {do}.", "I want to {do}", "I need to {do}.", "I would like you to {do}.", "Hi, {do}.", "Hello, can you {do}?", "Would you {do}?", "Help me {do}.", "Let's {do}.", "I have to {do}.", "Good morning, I'd like to {do}.", "We need to {do}", "My boss asked me to {do}.", "Ok, {do} now.", "Would it be possible to {do}?", "Be so kind as to {do}."],
    "ko": ["{do} 주세요!", "저기요, {do} 주세요.", "{do} 주셨으면 해요.", "{do} 주셨으면 합니다.", "실례지만 {do} 주시겠습니까?", "{do} 줄 수 있나요?", "{do} 주실래요?", "좀 {do} 주세요.", "{do} 주셔야 합니다.", "{do} 주세요, 부탁입니다.", "다음으로 {do} 주세요.", "{do} 주시면 좋겠습니다.", "{do} 주시기 바랍니다.", "이제 {do} 줘요", "{do} 달라고 하십니다.", "얼른 {do} 주실 수 있죠?", "{do} 주시죠", "빠른 시간 안에 {do} 주세요.", "손님이 {do} 달라고 하셨어요.", "{do} 주시겠습니까?", "{do} 주세요", "{do} 주세요.", "{do} 줘", "{do} 주시겠어요?", "{do} 줄래?", "{do} 주실 수 있나요?", "안녕하세요, {do} 주세요.", "{do} 주십시오.", "{do} 줄 수 있어?", "혹시 {do} 주실 수 있을까요?", "지금 {do} 주세요", "{do} 주시면 감사하겠습니다.", "{do} 달라고 합니다", "죄송하지만 {do} 주세요.", "빨리 {do} 주세요", "{do} 줘요", "네, {do} 주세요.", "{do} 주시길 바랍니다.", "바로 {do} 주실래요?", "{do} 주면 좋겠어요", "수고하십니다, {do} 주시기 바랍니다.", "{do} 주시면 안 될까요?"],
}  # fmt: skip

DO: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "book_room": ["book us a room {parts}", "get me a room {parts}", "reserve accommodation {parts}", "book lodging {parts}", "make a room reservation {parts}", "secure a room {parts}", "take a room {parts}", "schedule a stay {parts}", "enter a booking {parts}", "create a reservation {parts}", "book in {parts}", "place a booking {parts}", "sort out a room {parts}", "confirm a room {parts}", "book a room {parts}", "reserve a room {parts}", "make a reservation {parts}", "book {parts}", "make a booking {parts}", "reserve {parts}", "set up a booking {parts}", "get a room {parts}", "arrange a stay {parts}", "put down a reservation {parts}"],
        "search_hotels": ["search hotels {parts}", "look up hotels {parts}", "find me a hotel {parts}", "get a list of hotels {parts}", "look for accommodation {parts}", "search for a place to stay {parts}", "find free rooms {parts}", "check availability {parts}", "browse hotels {parts}", "suggest a hotel {parts}", "recommend hotels {parts}", "look for rooms {parts}", "see what is free {parts}", "find hotels {parts}", "search for hotels {parts}", "show me hotels {parts}", "look for a hotel {parts}", "list hotels {parts}", "find a place to stay {parts}", "check which hotels are free {parts}", "find somewhere to sleep {parts}", "see the hotels {parts}"],
        "cancel_booking": ["cancel reservation {parts}", "cancel the booking {parts}", "remove booking {parts}", "undo the booking {parts}", "withdraw the reservation {parts}", "annul booking {parts}", "terminate the booking {parts}", "cancel my stay {parts}", "get rid of the reservation {parts}", "close out booking {parts}", "cancel their booking {parts}", "abandon the reservation {parts}", "cancel booking {parts}", "cancel my booking {parts}", "cancel the reservation {parts}", "cancel {parts}", "call off the booking {parts}", "drop the reservation {parts}", "delete booking {parts}", "void my reservation {parts}", "take back the booking {parts}"],
        "issue_refund": ["refund the guest {parts}", "give back {parts}", "repay {parts}", "give the guest a refund {parts}", "refund the money {parts}", "credit back {parts}", "transfer a refund {parts}", "arrange a refund {parts}", "settle a refund {parts}", "hand back {parts}", "pay the guest back {parts}", "put through a refund {parts}", "refund {parts}", "issue a refund {parts}", "pay back {parts}", "give a refund {parts}", "return the money {parts}", "make a refund {parts}", "process a refund {parts}", "reimburse {parts}", "send the money back {parts}"],
        "send_message": ["send the message {parts}", "send a text {parts}", "write a message {parts}", "leave a message {parts}", "contact the guest {parts}", "send an email {parts}", "forward a message {parts}", "deliver a note {parts}", "tell the guest {parts}", "notify the guest {parts}", "inform them {parts}", "send out a message {parts}", "reply {parts}", "send a message {parts}", "text {parts}", "write {parts}", "message {parts}", "send word {parts}", "send a note {parts}", "let know {parts}", "drop a line {parts}", "pass on a message {parts}"],
        "find_booking": ["show booking {parts}", "look up reservation {parts}", "get booking {parts}", "search for booking {parts}", "check the reservation {parts}", "display booking {parts}", "see booking {parts}", "fetch the reservation {parts}", "find out about booking {parts}", "review booking {parts}", "locate the booking {parts}", "check on {parts}", "find booking {parts}", "look up booking {parts}", "show me the reservation {parts}", "check booking {parts}", "find the reservation {parts}", "pull up booking {parts}", "open the booking {parts}", "tell me the status of booking {parts}", "bring up reservation {parts}"],
    },
    "ko": {
        "book_room": ["{parts} 방 하나 잡아", "{parts} 예약을 잡아", "{parts} 객실 하나 예약해", "{parts} 예약을 해", "{parts} 방을 예약해", "{parts} 숙소를 예약해", "{parts} 예약 처리해", "{parts} 예약 등록해", "{parts} 방 좀 잡아", "{parts} 객실을 확보해", "{parts} 예약 부탁해", "{parts} 묵을 방을 예약해", "{parts} 자리를 잡아", "{parts} 예약을 걸어", "{parts} 예약해", "{parts} 방 예약해", "{parts} 객실 예약해", "{parts} 방을 잡아", "{parts} 객실을 잡아", "{parts} 예약 좀 해", "{parts} 예약을 진행해", "{parts} 방 하나 예약해", "{parts} 숙박 예약해", "{parts} 예약을 넣어"],
        "search_hotels": ["{parts} 빈 방을 찾아", "{parts} 호텔 좀 찾아", "{parts} 호텔 리스트를 보여", "{parts} 숙소를 검색해", "{parts} 호텔을 조회해", "{parts} 묵을 호텔을 골라", "{parts} 빈 호텔을 알아봐", "{parts} 호텔이 있는지 확인해", "{parts} 숙소 좀 봐", "{parts} 호텔을 알려", "{parts} 남은 방이 있는지 찾아", "{parts} 호텔을 소개해", "{parts} 호텔 찾아", "{parts} 호텔을 검색해", "{parts} 호텔 보여", "{parts} 숙소 찾아", "{parts} 묵을 곳을 찾아", "{parts} 호텔 목록을 보여", "{parts} 호텔 알아봐", "{parts} 숙소를 추천해", "{parts} 잘 곳 좀 알아봐"],
        "cancel_booking": ["{parts} 예약을 취소 처리해", "{parts} 예약 건을 취소해", "{parts} 예약을 해지해", "{parts} 예약을 무효로 해", "{parts} 예약을 삭제해", "{parts} 예약을 되돌려", "{parts} 예약을 접어", "{parts} 취소 좀 해", "{parts} 예약을 없던 걸로 해", "{parts} 잡은 방을 취소해", "{parts} 예약 해제해", "{parts} 건 취소 처리해", "{parts} 예약을 취소해", "{parts} 예약 취소해", "{parts} 취소해", "{parts} 건을 취소해", "{parts} 예약을 없애", "{parts} 예약 취소 처리해", "{parts} 예약을 빼", "{parts} 예약을 지워", "{parts} 예약 철회해"],
        "issue_refund": ["{parts} 환불을 해", "{parts} 돌려줘 환불해", "{parts} 반환해", "{parts} 환불금을 보내", "{parts} 환불금으로 지급해", "{parts} 입금해 환불해", "{parts} 결제를 되돌려", "{parts} 환불 건을 처리해", "{parts} 손님께 환불해", "{parts} 환불 승인해", "{parts} 부분 환불해", "{parts} 환불로 내", "{parts} 환불해", "{parts} 환불 처리해", "{parts} 돌려", "{parts} 환불을 진행해", "{parts} 환불 좀 해", "{parts} 되돌려", "{parts} 환급해", "{parts} 돈을 돌려", "{parts} 환불 넣어"],
        "send_message": ["{parts} 메시지를 보내", "{parts} 문자를 보내", "{parts} 메시지 전달해", "{parts} 말을 전해", "{parts} 이메일을 보내", "{parts} 메모를 전해", "{parts} 소식을 알려", "{parts} 안내 문자를 보내", "{parts} 답장을 보내", "{parts} 전송해", "{parts} 문자로 알려", "{parts} 톡을 보내", "{parts} 메시지 보내", "{parts} 문자 보내", "{parts} 전해", "{parts} 메시지를 전달해", "{parts} 연락해", "{parts} 알려", "{parts} 문자 한 통 보내", "{parts} 메일 보내", "{parts} 쪽지 남겨"],
        "find_booking": ["{parts} 예약을 보여", "{parts} 예약을 조회해", "{parts} 예약 찾아", "{parts} 예약을 검색해", "{parts} 예약 확인해", "{parts} 예약 기록을 보여", "{parts} 예약 내용을 알려", "{parts} 예약을 띄워", "{parts} 예약 현황을 알려", "{parts} 내역을 조회해", "{parts} 예약을 불러와", "{parts} 예약 상세를 보여", "{parts} 예약을 찾아", "{parts} 예약 조회해", "{parts} 예약을 확인해", "{parts} 예약 내역 보여", "{parts} 예약 상태를 알려", "{parts} 조회해", "{parts} 예약 정보를 보여", "{parts} 예약을 열어", "{parts} 예약 좀 들여다봐"],
    },
}  # fmt: skip

SAY: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "book_room": ["I want a room {parts}.", "We need a room {parts}.", "I'd like a room {parts}, please.", "One room {parts}.", "Booking {parts}, please.", "Can I have a room {parts}?", "Can we get a room {parts}?", "We would like to stay {parts}.", "I plan to stay {parts}; please book it.", "There should be a room {parts}. Take it.", "Looking to book {parts}.", "New booking {parts}", "Is a room free {parts}? Then book it.", "A guest wants a room {parts}.", "I need a room {parts}.", "We want to stay {parts}", "Do you have a room {parts}? Book it.", "A room {parts}, please.", "Reservation {parts}.", "Room wanted {parts}."],
        "search_hotels": ["Are there hotels {parts}?", "What is available {parts}?", "Which places are free {parts}?", "Is there a hotel {parts}?", "Do you know a hotel {parts}?", "We need a hotel {parts}.", "Hotel search {parts}", "What are my options {parts}?", "I want to see hotels {parts}.", "Do any hotels have rooms {parts}?", "Anything free {parts}?", "Which hotel could I take {parts}?", "Which hotels are there {parts}?", "Any hotels {parts}?", "What hotels do you have {parts}?", "Where can I stay {parts}?", "I am looking for a hotel {parts}.", "Hotels {parts}?"],
        "cancel_booking": ["I want booking {parts} cancelled.", "Please cancel {parts}.", "The guest is not coming, cancel {parts}.", "Take booking {parts} out.", "Booking {parts} is no longer needed.", "Can booking {parts} be cancelled?", "My plans fell through, please cancel {parts}.", "We have to cancel {parts}.", "{parts} needs to be cancelled", "Reservation {parts} has to go.", "Cancel it: {parts}", "They will not come, so drop {parts}.", "I can't come, so cancel {parts}.", "I no longer need booking {parts}.", "Cancellation of {parts} please.", "Booking {parts} should be cancelled.", "We will not be using booking {parts}.", "Scrap booking {parts}."],
        "issue_refund": ["I want a refund {parts}.", "The customer asks for a refund {parts}.", "Refund due {parts}.", "There should be a refund {parts}.", "They want their money back {parts}.", "Please see to the refund {parts}.", "Refund request {parts}", "The guest is entitled to a refund {parts}.", "We promised a refund {parts}.", "A refund has to be made {parts}.", "Can the guest have a refund {parts}?", "Pay out a refund {parts}, please.", "The guest wants a refund {parts}.", "A refund {parts}, please.", "Refund please {parts}.", "The guest should get back {parts}.", "We owe the guest a refund {parts}.", "Money back {parts}."],
        "send_message": ["Could a message go out {parts}", "I have a message {parts}", "Here is a message {parts}", "Somebody should write {parts}", "There is a message {parts}", "Message {parts}", "Note {parts}", "Please pass this {parts}", "I want to write {parts}", "A short text {parts}", "Get a message out {parts}", "Let them know {parts}", "A message {parts}.", "Please send this {parts}", "New message {parts}", "Message for the guest {parts}", "Deliver this message {parts}", "Word {parts}"],
        "find_booking": ["Which guest is in booking {parts}?", "When does booking {parts} start?", "Is {parts} still valid?", "What about booking {parts}?", "I need the details {parts}.", "Do we have a booking {parts}?", "I want to see booking {parts}.", "Has booking {parts} been cancelled?", "Booking {parts}?", "Where is reservation {parts}?", "How is booking {parts} doing?", "Show {parts}", "What is the status of {parts}?", "What do we have under {parts}?", "Is booking {parts} confirmed?", "Who booked {parts}?", "Details of booking {parts}, please.", "What does booking {parts} say?"],
    },
    "ko": {
        "book_room": ["{parts} 예약이요", "{parts} 방 하나 주세요.", "{parts} 예약 원합니다.", "{parts} 투숙하려고 합니다.", "{parts} 지내려고요. 예약해 주세요.", "{parts} 방 있나요? 예약할게요.", "{parts} 신규 예약입니다.", "{parts} 예약 신청합니다.", "{parts} 손님이 예약을 원하십니다.", "{parts} 묵으려고 해요", "{parts} 예약 잡고 싶습니다.", "{parts} 객실 하나 부탁합니다.", "{parts} 예약 부탁드립니다.", "{parts} 예약하고 싶어요", "{parts} 묵고 싶습니다.", "{parts} 예약할게요", "{parts} 방 있으면 예약할게요.", "{parts} 예약하려고 합니다.", "{parts} 방이 필요합니다.", "{parts} 머물 방 하나요."],
        "search_hotels": ["{parts} 빈 호텔 있나요?", "{parts} 묵을 데 있어요?", "{parts} 호텔 뭐 있어요?", "{parts} 호텔 좀 알려 주실래요?", "{parts} 방 있는 호텔이 어디예요?", "{parts} 예약 가능한 호텔이 있나요?", "{parts} 숙소를 알아보고 있어요.", "{parts} 호텔이 궁금해요.", "{parts} 어느 호텔이 좋을까요?", "{parts} 숙소 검색이요", "{parts} 빈 객실이 있을까요?", "{parts} 어떤 호텔이 있나요?", "{parts} 호텔 있어요?", "{parts} 묵을 만한 호텔이 있을까요?", "{parts} 호텔을 찾고 있어요.", "{parts} 호텔 검색 부탁드립니다.", "{parts} 갈 만한 숙소 있나요?", "{parts} 쉴 만한 호텔은요?"],
        "cancel_booking": ["{parts} 예약 취소요", "{parts} 취소 부탁드려요.", "{parts} 못 가게 됐어요. 취소해 주세요.", "{parts} 예약을 취소하려고 합니다.", "{parts} 취소 원합니다.", "{parts} 안 가기로 했어요. 취소할게요.", "{parts} 취소하고 싶습니다.", "{parts} 손님이 취소를 원하십니다.", "{parts} 예약 취소 가능할까요?", "{parts} 취소해야 해요.", "{parts} 예약 더는 필요 없습니다. 취소해 주세요.", "{parts} 예약 취소 부탁드립니다.", "{parts} 예약을 취소하고 싶어요", "{parts} 취소할게요.", "{parts} 예약은 필요 없어졌어요. 취소요.", "{parts} 취소 요청합니다.", "{parts} 예약 취소하려고요.", "{parts} 없던 일로 해 주세요."],
        "issue_refund": ["{parts} 환불이요", "{parts} 환불 부탁해요", "{parts} 환불 원하십니다.", "{parts} 환불하기로 했습니다.", "{parts} 환불 건입니다.", "{parts} 환불해 드리세요.", "{parts} 환불 가능할까요? 처리해 주세요.", "{parts} 환불해 줘야 해요.", "{parts} 손님이 환불을 원해요.", "{parts} 환불 신청합니다.", "{parts} 돌려받고 싶어 하십니다.", "{parts} 환불 부탁드립니다.", "{parts} 환불받고 싶대요", "{parts} 환불 요청입니다.", "{parts} 환불해야 합니다.", "{parts} 환불하려고 합니다.", "{parts} 환불 바랍니다.", "{parts} 돌려드려야 해요."],
        "send_message": ["{parts} 문자 부탁드립니다.", "{parts} 메시지요", "{parts} 알려 주셨으면 해요.", "{parts} 전할 말이 있어요.", "{parts} 안내 부탁드립니다.", "{parts} 메시지 하나 보내 주세요.", "{parts} 말씀 전해 주세요.", "{parts} 연락 좀 해 주세요.", "{parts} 문자 하나 보낼게요.", "{parts} 전해 주셨으면 합니다.", "{parts} 알림 부탁해요", "{parts} 메시지 부탁드립니다.", "{parts} 문자 부탁해요", "{parts} 전달 부탁드립니다.", "{parts} 메시지를 보내고 싶어요.", "{parts} 연락 부탁드려요.", "{parts} 보내 주세요.", "{parts} 전갈 부탁합니다."],
        "find_booking": ["{parts} 예약 있나요?", "{parts} 예약 조회 부탁드립니다.", "{parts} 예약이 맞나요?", "{parts} 언제 예약이에요?", "{parts} 예약 확인이요", "{parts} 예약 내역이 궁금해요.", "{parts} 아직 유효한가요?", "{parts} 예약을 확인하고 싶습니다.", "{parts} 취소된 예약인가요?", "{parts} 예약 좀 보고 싶어요.", "{parts} 어떤 예약이죠?", "{parts} 예약이 어떻게 되어 있나요?", "{parts} 예약 확인 부탁드립니다.", "{parts} 예약 상태가 어떤가요?", "{parts} 예약 내용을 알고 싶어요.", "{parts} 확정된 예약인가요?", "{parts} 누구 예약이에요?", "{parts} 예약 살펴봐 주세요."],
    },
}  # fmt: skip

FRAGMENTS: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "hotel": ["in the {hotel}", "hotel {hotel}", "hotel: {hotel}", "at our {hotel}", "at hotel {hotel}", "the {hotel}", "{hotel}", "at {hotel}", "at {hotel}", "in {hotel}", "with {hotel}", "at the {hotel}", "for {hotel}", "over at {hotel}"],
        "guest": ["guest: {guest}", "guest name {guest}", "booked as {guest}", "on behalf of {guest}", "the name is {guest}", "for our guest {guest}", "{guest} is the guest", "for Mr {guest}", "for Ms {guest}", "my name is {guest}", "in {guest}'s name", "as {guest}", "for {guest}", "under the name {guest}", "under {guest}", "in the name of {guest}", "for a guest called {guest}", "name: {guest}", "guest {guest}", "made out to {guest}"],
        "stay": ["from {check_in} till {check_out}", "in on {check_in} and out on {check_out}", "{check_in} - {check_out}", "{check_in} until {check_out}", "staying {check_in} to {check_out}", "arrival {check_in}, departure {check_out}", "arriving on {check_in} and leaving on {check_out}", "check in {check_in}, check out {check_out}", "dates {check_in} to {check_out}", "starting {check_in} and ending {check_out}", "for the nights {check_in} to {check_out}", "from {check_in} to {check_out}", "{check_in} to {check_out}", "from {check_in} until {check_out}", "checking in {check_in} and out {check_out}", "arriving {check_in}, leaving {check_out}", "check-in {check_in}, check-out {check_out}", "between {check_in} and {check_out}", "from {check_in} through {check_out}"],
        "check_in": ["check-in on {check_in}", "check in {check_in}", "arrival {check_in}", "arriving on {check_in}", "beginning {check_in}", "for {check_in}", "as of {check_in}", "the first night is {check_in}", "from {check_in}", "checking in on {check_in}", "arriving {check_in}", "check-in {check_in}", "on {check_in}", "starting {check_in}", "coming on {check_in}"],
        "check_out": ["check-out on {check_out}", "check out {check_out}", "departure {check_out}", "leaving on {check_out}", "till {check_out}", "up to {check_out}", "out on {check_out}", "until {check_out}", "checking out on {check_out}", "leaving {check_out}", "check-out {check_out}", "to {check_out}", "ending {check_out}", "going home on {check_out}"],
        "guests": ["guests: {guests}", "there are {guests}", "{guests} in all", "{guests} will stay", "sleeping {guests}", "a group of {guests}", "it is for {guests}", "for {guests}", "for {guests}", "with {guests}", "{guests}", "we are {guests}", "party of {guests}", "there will be {guests}"],
        "room_type": ["room type {room_type}", "room type: {room_type}", "it should be {room_type}", "I want {room_type}", "as {room_type}", "ideally {room_type}", "{room_type} please", "in {room_type}", "{room_type}", "with {room_type}", "{room_type} if possible", "preferably {room_type}", "and make it {room_type}"],
        "city": ["in the city of {city}", "within {city}", "at {city}", "city: {city}", "{city}", "in downtown {city}", "by {city}", "in {city}", "in {city}", "around {city}", "near {city}", "for {city}", "close to {city}", "somewhere in {city}"],
        "booking_id": ["booking {booking_id}", "reservation {booking_id}", "number: {booking_id}", "with the number {booking_id}", "id {booking_id}", "under {booking_id}", "with booking id {booking_id}", "({booking_id})", "{booking_id}", "{booking_id}", "number {booking_id}", "for booking {booking_id}", "for {booking_id}", "with id {booking_id}", "on {booking_id}", "no. {booking_id}"],
        "amount": ["amount {amount}", "amount: {amount}", "{amount} back", "exactly {amount}", "a total of {amount}", "the full {amount}", "for {amount}", "{amount}", "of {amount}", "{amount}", "an amount of {amount}", "worth {amount}", "the sum of {amount}", "{amount} in total"],
        "reason": ["due to this: {reason}", "reason is {reason}", "the guest says {reason}", "cause: {reason}", "because of this: {reason}", "it is because {reason}", "why: {reason}", "for this reason: {reason}", "because {reason}", "reason: {reason}", "since {reason}", "as {reason}", "({reason})", "- {reason}", "the reason is {reason}", "on account of this: {reason}"],
        "to": ["to the guest {to}", "to {to} please", "recipient {to}", "to: {to}", "for our guest {to}", "for guest {to}", "at {to}", "to {to}", "to {to}", "for {to}", "to {to}", "addressed to {to}", "to our guest {to}", "going to {to}"],
        "text": ["with this text: {text}", "that {text}", "and say {text}", "and tell them {text}", "reading \"{text}\"", "text: {text}", "message: \"{text}\"", "which says \"{text}\"", "like this: {text}", "saying {text}", ": {text}", "that says {text}", "\"{text}\"", "'{text}'", "with the text {text}", "saying \"{text}\"", "- {text}", "with these words: {text}"],
    },
    "ko": {
        "hotel": ["{hotel} 호텔로", "{hotel}에 있는", "호텔 {hotel},", "{hotel} 지점에", "장소는 {hotel},", "{hotel} 안에", "{hotel},", "{hotel}에", "{hotel}", "{hotel}으로(로)", "{hotel}에서", "{hotel} 쪽에", "{hotel}에다", "호텔은 {hotel},"],
        "guest": ["{guest} 고객 이름으로", "{guest} 손님", "{guest} 고객님", "예약자명 {guest},", "투숙객 {guest},", "{guest}으로(로)", "이름 {guest},", "성함은 {guest}이고", "예약자는 {guest}이고", "{guest} 님", "제 이름은 {guest}이고", "{guest} 이름으로", "{guest} 명의로", "{guest} 님 이름으로", "예약자 {guest},", "투숙객은 {guest},", "{guest} 앞으로", "이름은 {guest}이고", "{guest} 씨 이름으로", "고객명 {guest}으로(로)", "{guest} 님 것으로"],
        "stay": ["{check_in} 입실, {check_out} 퇴실,", "{check_in} - {check_out}", "{check_in}에 체크인해서 {check_out}에 체크아웃하는", "도착 {check_in}, 출발 {check_out},", "{check_in}에 와서 {check_out}에 가는", "기간은 {check_in}부터 {check_out}까지,", "체크인은 {check_in}이고 체크아웃은 {check_out}인", "{check_in} 도착 {check_out} 출발로", "{check_in}부터 {check_out}까지 머물", "일정 {check_in}~{check_out},", "{check_in}부터 {check_out}까지", "{check_in}에서 {check_out}까지", "{check_in} 체크인 {check_out} 체크아웃으로", "체크인 {check_in}, 체크아웃 {check_out},", "{check_in} ~ {check_out}", "{check_in}에 들어가서 {check_out}에 나오는", "{check_in}~{check_out}", "{check_in} 입실 {check_out} 퇴실로"],
        "check_in": ["{check_in} 도착으로", "{check_in}에 체크인하는", "입실일 {check_in},", "체크인은 {check_in}이고", "{check_in} 하루", "{check_in}에 입실하는", "도착일 {check_in},", "{check_in}에 묵을", "{check_in}부터", "{check_in} 체크인으로", "체크인 {check_in},", "{check_in}에 도착해서", "{check_in}에", "{check_in} 입실로", "{check_in} 시작으로"],
        "check_out": ["퇴실은 {check_out}이고", "{check_out}에 체크아웃하는", "퇴실일 {check_out},", "{check_out} 출발로", "체크아웃은 {check_out}인", "{check_out}에 퇴실하는", "{check_out}까지", "{check_out} 체크아웃으로", "체크아웃 {check_out},", "{check_out}에 나가는", "{check_out} 퇴실로", "{check_out}에 떠나는"],
        "guests": ["인원 {guests},", "{guests} 숙박으로", "저희 {guests}", "일행 {guests},", "{guests}이(가) 쓸", "인원수는 {guests}이고", "{guests} 방으로", "{guests} 예정으로", "{guests}", "{guests}이서", "{guests}으로(로)", "인원은 {guests},", "{guests} 묵을", "{guests}이(가)", "{guests} 기준으로"],
        "room_type": ["방은 {room_type},", "객실 타입 {room_type},", "{room_type} 객실로", "{room_type} 하나", "룸타입은 {room_type}이고", "방 종류는 {room_type},", "{room_type} 원하고", "{room_type}으로(로)", "{room_type}", "{room_type} 타입으로", "객실은 {room_type},", "가능하면 {room_type}으로(로)", "되도록 {room_type}으로(로)"],
        "city": ["{city} 지역", "{city} 쪽에", "{city}의", "도시는 {city},", "{city} 안", "{city} 부근에", "{city} 지역에서", "{city}에", "{city}에서", "{city} 근처", "{city}", "{city} 쪽", "{city} 시내", "{city} 안에"],
        "booking_id": ["예약번호는 {booking_id}", "{booking_id} 예약", "예약 번호 {booking_id}", "번호가 {booking_id}인", "{booking_id}로 된", "{booking_id},", "예약코드 {booking_id}", "아이디 {booking_id}", "{booking_id}", "{booking_id}", "예약번호 {booking_id}", "{booking_id}번", "예약 {booking_id}", "번호 {booking_id}", "{booking_id} 건", "{booking_id}인 것"],
        "amount": ["{amount}으로(로)", "금액은 {amount},", "{amount} 전부", "환불액 {amount},", "딱 {amount}", "{amount} 전액", "요금 {amount}", "{amount}", "{amount}을(를)", "{amount} 정도를", "금액 {amount}", "총 {amount}", "{amount}만큼", "합쳐서 {amount}"],
        "reason": ["사유: {reason},", "이유는 {reason},", "{reason}으로(로) 인해", "{reason} 관계로", "사유 {reason},", "{reason} 사정으로", "{reason}이라서", "{reason} 때문에", "사유는 {reason},", "{reason}이유로", "이유: {reason},", "({reason})", "{reason} 사유로", "{reason} 탓에"],
        "to": ["{to} 손님에게", "{to} 고객님께", "받는 사람은 {to},", "{to} 씨에게", "수신자 {to},", "받는 분 {to},", "{to}께", "{to}에게", "{to}으로(로)", "{to} 님에게", "{to} 앞으로", "{to}한테", "{to} 쪽으로", "{to} 님께"],
        "text": ["내용 '{text}',", "'{text}'", "\"{text}\"라는 내용으로", "{text}라는 내용으로", "'{text}'라고 적어서", "메시지는 \"{text}\",", "\"{text}\" 이렇게", "'{text}'라고", "\"{text}\"라고", "{text}라고", "{text} 라고", "내용은 '{text}',", "\"{text}\"", "'{text}'라는 말을"],
    },
}  # fmt: skip

REPLIES: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "any": ["{value} then", "Let's say {value}.", "Ah, {value}.", "Make it {value}", "{value} is fine", "The answer is {value}", "I'd say {value}", "{value}, sorry for forgetting.", "{value}", "{value}.", "{value} please", "It's {value}.", "It is {value}", "That would be {value}.", "Sorry, {value}.", "Oh, {value}", "{value}, thanks"],
        "guest": ["Please use {value}", "It is {value}", "{value} is the name", "Guest name: {value}", "Book it for {value}.", "{value}", "{value}.", "My name is {value}.", "The name is {value}", "Under {value}.", "I am {value}", "It's for {value}."],
        "guests": ["It will be {value}", "{value} in total", "We will be {value}", "{value}", "{value}.", "We are {value}.", "For {value}", "There are {value}", "Just {value}"],
    },
    "ko": {
        "any": ["{value}요", "{value} 부탁드립니다", "{value}", "죄송해요, {value}입니다", "{value}으로(로) 할게요", "{value}이요!", "{value}", "{value}이요", "{value}입니다", "{value}예요", "{value}이에요.", "아, {value}입니다.", "네, {value}요", "{value}으로(로) 해 주세요", "{value}으로(로) 부탁해요"],
        "guest": ["{value}으로(로) 해 주세요", "성함은 {value}입니다", "{value} 님이요", "예약자는 {value}입니다", "{value}", "{value}입니다", "{value}이에요", "제 이름은 {value}입니다.", "{value} 이름으로요", "{value}요"],
        "guests": ["{value}이(가) 갈 거예요", "총 {value}입니다", "{value}요", "{value}", "{value}이요", "{value}입니다", "{value}이에요", "저희는 {value}입니다.", "{value}으로(로) 해 주세요"],
        "text": ["{value} 라고 전해 주세요", "내용은 {value}", "{value}라고 적어 주세요", "{value}", "'{value}'라고요", "\"{value}\"라고 보내 주세요", "{value}라고 해 주세요"],
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
    "en": ["the guest fell sick", "the flight is delayed", "there was no hot water", "the room smelled of smoke", "the guest paid twice", "we changed our plans", "a sudden business trip", "the guest found another hotel", "the elevator was out of order", "the TV was broken", "the visa was refused", "the child is ill", "the road is closed", "the wifi did not work", "the bed was too small", "a storm is coming", "the conference was called off", "the booking was a mistake", "noise from the street", "the neighbours were loud", "heavy snow", "an accident on the way", "the wedding was postponed", "the guest had an operation", "the guest is ill", "the flight was cancelled", "the air conditioner was broken", "double charged", "plans changed", "the room was too noisy", "bad weather", "a family emergency", "the heating did not work", "overbooked", "the guest left early", "a work meeting came up", "the shower was cold", "wrong dates", "a death in the family", "the train was late"],
    "ko": ["손님 사정", "비행기 지연", "몸이 아파서", "출장 취소", "객실 냄새", "와이파이 불량", "엘리베이터 고장", "태풍", "폭설", "중복 예약", "예약 실수", "아이가 아픔", "교통사고", "결혼식 연기", "침대 파손", "청소 불량", "다른 호텔 이용", "비자 문제", "출장 일정 변경", "서비스 불만", "욕실 누수", "행사 취소", "개인 사정", "도로 통제", "고객 질병", "항공편 결항", "에어컨 고장", "이중 결제", "일정 변경", "소음 문제", "악천후", "가족 사정", "난방 고장", "초과 예약", "조기 퇴실", "회의 일정", "온수 문제", "날짜 착오", "가족상", "기차 지연"],
}  # fmt: skip

TEXTS: Final[dict[Language, list[str]]] = {
    "en": ["the pool is closed today", "your parcel has arrived", "please bring your passport", "the car is parked outside", "we moved you to room {n}", "dinner is at {n}", "the tour starts at {n} in the lobby", "your laundry is ready", "the bill is {n}000 won", "we look forward to your visit", "the doctor is on the way", "your wake-up call is at {n}", "the restaurant is full tonight", "we have a room for you on {date}", "your refund was sent", "the bus is late by {n} minutes", "{guest} called you", "please confirm your arrival time", "the keys are under the mat", "checkout is at {n}", "your reservation was changed to {date}", "we could not reach you", "there is a letter for you", "happy birthday", "your room is ready", "I will arrive at {n} pm", "please call the front desk", "your booking is confirmed", "we found your umbrella", "the shuttle leaves at {n}", "thank you for staying with us", "your taxi is here", "breakfast starts at {n}", "see you on {date}", "{guest} is waiting in the lobby", "we will be {n} minutes late", "your luggage is at the front desk", "the meeting moved to {date}", "please pay at the front desk", "your key card is at the desk"],
    "ko": ["오늘은 수영장이 쉽니다", "소포가 도착했습니다", "여권을 가져와 주세요", "차는 밖에 있습니다", "{n}호실로 옮겨 드렸습니다", "저녁은 {n}시입니다", "로비에서 {n}시에 출발합니다", "세탁물이 준비되었습니다", "요금은 {n}만 원입니다", "방문을 기다리겠습니다", "의사가 가고 있습니다", "{n}시에 깨워 드리겠습니다", "식당이 만석입니다", "{date}에 방이 있습니다", "환불을 보내 드렸습니다", "버스가 {n}분 늦습니다", "{guest} 님이 전화하셨습니다", "도착 시간을 알려 주세요", "열쇠는 데스크에 있습니다", "체크아웃은 {n}시입니다", "예약이 {date}로 변경되었습니다", "연락이 되지 않습니다", "편지가 와 있습니다", "생일 축하드립니다", "방이 준비되었습니다", "{n}시에 도착합니다", "프런트로 전화 주세요", "예약이 확정되었습니다", "우산을 찾았습니다", "셔틀은 {n}시에 출발합니다", "이용해 주셔서 감사합니다", "택시가 도착했습니다", "조식은 {n}시에 시작합니다", "{date}에 뵙겠습니다", "{guest} 님이 로비에서 기다립니다", "{n}분 늦습니다", "짐은 프런트에 있습니다", "회의가 {date}로 옮겨졌습니다", "프런트에서 결제해 주세요", "카드키는 데스크에 있습니다"],
}  # fmt: skip


HELDOUT_SHARE: Final = 7  # one line in so many of ``grammar/desk.*.txt`` is for tests only
HELDOUT_KINDS: Final = {"do": 0.45, "frame": 0.2, "say": 0.35}
SAYINGS: Final = 0.4  # share of the openings that are no frame around a phrase


class Lines(NamedTuple):
    """Wordings of one kind: those that training shows, and those that only tests use."""

    train: list[str]
    test: list[str]


def for_tests(line: str) -> bool:
    """Whether a line of a grammar file is held out, by a hash of its text."""
    return zlib.crc32(f"wording:{line}".encode()) % HELDOUT_SHARE == 0


@cache
def written(language: Language) -> dict[str, Lines]:
    """The blocks of ``grammar/desk.<language>.txt`` by their names."""
    found: dict[str, Lines] = {}
    name = ""
    for line in (GRAMMAR / f"desk.{language}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            name = line[2:].strip()
            found[name] = Lines([], [])
        elif line:
            held = for_tests(line) and bool(found[name].train)
            (found[name].test if held else found[name].train).append(line)
    return found


@cache
def lines(language: Language, kind: str, intent: str = "") -> Lines:
    """All wordings of a kind: ``frame``, ``do`` and ``say`` (of an intent), or a block of the grammar file."""
    listed = {
        "frame": FRAMES[language],
        "do": DO[language].get(intent, []),
        "say": SAY[language].get(intent, []),
    }.get(kind, [])
    more = written(language).get({"frame": "frames"}.get(kind, f"{intent}.{kind}" if intent else kind), Lines([], []))
    return Lines(listed[:-2] + more.train, listed[-2:] + more.test)


def opening(rng: random.Random, language: Language, intent: str, *, heldout: bool) -> str:
    """An opening of an intent: for training, or (``heldout``) one of which some part is for tests only."""
    frames, phrases, sayings = (lines(language, kind, intent) for kind in ("frame", "do", "say"))
    if not heldout:
        if rng.random() < SAYINGS:
            return rng.choice(sayings.train)
        return rng.choice(frames.train).replace("{do}", rng.choice(phrases.train))
    kind = rng.choices(list(HELDOUT_KINDS), list(HELDOUT_KINDS.values()))[0]
    if kind == "say":
        return rng.choice(sayings.test)
    if kind == "frame":
        return rng.choice(frames.test).replace("{do}", rng.choice(phrases.train))
    return rng.choice(frames.train + frames.test).replace("{do}", rng.choice(phrases.test))


def fragments(language: Language, argument: str, *, heldout: bool) -> list[str]:
    """How an argument is said inside a request."""
    listed, more = FRAGMENTS[language][argument], written(language).get(argument, Lines([], []))
    return (listed[-1:] + more.test) if heldout else listed[:-1] + more.train


def values(language: Language, kind: Literal["texts", "reasons"], side: Side) -> list[str]:
    """What a message says, or why something is cancelled: lines of which some are for tests only."""
    listed, more = (TEXTS if kind == "texts" else REASONS)[language], written(language).get(kind, Lines([], []))
    return listed + (more.test if side == "test" else more.train)


def replies(language: Language, argument: str, side: Side) -> list[str]:
    """How people answer what they are asked about an argument, around ``{value}``; some are for tests only."""
    listed, more = REPLIES[language].get(argument), written(language).get(f"reply.{argument}", Lines([], []))
    usual = replies(language, "any", side) if listed is None else listed
    return usual + (more.test if side == "test" else more.train)
