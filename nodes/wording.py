"""The sentences that the gate itself puts into a session, in Korean and English.

Summaries and refusals are written here and never by the model: an operator must be able to trust the line that
says what will happen. Texts of pages and commands live in ``dojang/``.
"""

from __future__ import annotations

from typing import Final

from state import Language

_TEXTS: Final[dict[str, dict[Language, str]]] = {
    "approve_answer": {
        "en": "Send this answer to the guest: “{text}”",
        "ko": "손님에게 이 답변을 보냅니다: “{text}”",
    },
    "weak_evidence": {
        "en": "The documents hardly support this answer: “{text}”",
        "ko": "문서에 근거가 부족한 답변입니다: “{text}”",
    },
    "contradiction": {
        "en": "The documents contradict each other (“{first}” – “{second}”). Answer as drafted: “{text}”?",
        "ko": "문서가 서로 다릅니다(“{first}” – “{second}”). 이대로 답할까요: “{text}”?",
    },
    "corrected": {
        "en": "Correct information from {by}: {text}",
        "ko": "{by} 님이 바로잡은 내용: {text}",
    },
    "missing_argument": {
        "en": "{tool} cannot run yet: {missing} is missing.",
        "ko": "{tool}: 아직 실행할 수 없습니다. {missing} 값이 없습니다.",
    },
    "unclear_request": {
        "en": "The request cannot be carried out as it stands; a person must answer a question.",
        "ko": "요청이 분명하지 않아 사람이 답해야 합니다.",
    },
    "ask_missing": {
        "en": "What should {missing} be?",
        "ko": "{missing} 값을 알려 주세요.",
    },
    "unclear_argument": {
        "en": "{tool} cannot run yet: “{value}” ({name}) can be read in two ways, or not at all.",
        "ko": "{tool}: 아직 실행할 수 없습니다. “{value}”({name})의 뜻이 둘 이상이거나 분명하지 않습니다.",
    },
    "ask_unclear": {
        "en": "“{value}” is not clear enough. What exactly should {name} be? (Dates like 2026-12-03.)",
        "ko": "“{value}”만으로는 분명하지 않습니다. {name} 값을 정확히 알려 주세요. (날짜는 2026-12-03처럼)",
    },
    "two_readings": {
        "en": "“{words}” can be read in more than one way.",
        "ko": "“{words}”의 뜻이 둘 이상입니다.",
    },
    "ask_reading": {
        "en": "What do you mean by “{words}”: {readings}?",
        "ko": "“{words}”, 다음 중 어느 쪽입니까: {readings}?",
    },
    "no_reading": {
        "en": "“{words}” refers to something that was not said.",
        "ko": "“{words}”: 무엇을 가리키는지 알 수 없는 말입니다.",
    },
    "ask_meant": {
        "en": "What do you mean by “{words}”?",
        "ko": "“{words}”, 무엇을 말씀하시는 것입니까?",
    },
    "feedback": {
        "en": "Was this answer right: “{text}”?",
        "ko": "이 답변이 맞았습니까: “{text}”?",
    },
    "in_doubt": {
        "en": "It is unknown whether this happened: {action} Did it happen?",
        "ko": "다음 일이 실제로 일어났는지 알 수 없습니다: {action} 일어났습니까?",
    },
    "rejected": {
        "en": "Rejected by {by}: {reason}",
        "ko": "{by} 님이 반려했습니다: {reason}",
    },
    "expired": {
        "en": "Not run: nobody decided before {due}.",
        "ko": "실행하지 않았습니다: {due}까지 아무도 결재하지 않았습니다.",
    },
    "no_reason": {"en": "no reason given", "ko": "사유 없음"},
    "forbidden": {
        "en": "Refused by policy: {reason}",
        "ko": "정책에 따라 거부되었습니다: {reason}",
    },
    "invalid": {
        "en": "The call was not valid: {reason}",
        "ko": "호출이 올바르지 않습니다: {reason}",
    },
    "changed": {
        "en": "Not run: the tool or the rules changed after this was approved. It has to be approved again.",
        "ko": "실행하지 않았습니다: 승인한 뒤에 도구나 정책이 바뀌었습니다. 다시 승인받아야 합니다.",
    },
    "not_in_the_record": {
        "en": "The conversation says that this may run, but the record of decisions does not.",
        "ko": "대화에는 실행해도 된다고 적혀 있지만 결재 기록에는 없습니다.",
    },
    "edited_call": {
        "en": "{by} changed this call before it ran. In place of what was asked for, it was carried out with {args}",
        "ko": "{by} 님이 실행 전에 이 호출을 고쳤습니다. 처음 값이 아니라 다음 값으로 실행했습니다: {args}",
    },
    "failed": {
        "en": "It did not work: {reason}",
        "ko": "실행하지 못했습니다: {reason}",
    },
    "looked_up": {
        "en": "(Looked up: {found})",
        "ko": "(조회 결과: {found})",
    },
    "settled_no": {
        "en": "{by} found that it did not happen. It was not repeated.",
        "ko": "{by} 님이 실행되지 않은 것을 확인했습니다. 다시 실행하지 않았습니다.",
    },
    "draft_rejected": {
        "en": "The draft answer was rejected by {by}: {reason}",
        "ko": "{by} 님이 답변 초안을 반려했습니다: {reason}",
    },
    "no_answer": {
        "en": "The documents do not say.",
        "ko": "문서에서 답을 찾지 못했습니다.",
    },
    "still_waiting": {
        "en": "The message was not taken: {reviews} must be decided first.",
        "ko": "메시지를 받지 않았습니다. 먼저 {reviews} 검토를 결재해야 합니다.",
    },
    "still_running": {
        "en": "The message was not taken: an approved call had not run yet. Send it again after this.",
        "ko": "메시지를 받지 않았습니다. 승인된 호출이 아직 실행되지 않았습니다. 끝난 뒤에 다시 보내 주세요.",
    },
    "left_out_messages": {
        "en": "(The oldest {messages} messages of this conversation no longer fit and were not read.)",
        "ko": "(이 대화의 가장 오래된 메시지 {messages}개는 분량을 넘어 읽지 못했습니다.)",
    },
    "left_out_evidence": {
        "en": "(The last {evidence} sentences that were found did not fit and were not read.)",
        "ko": "(찾은 문장 가운데 마지막 {evidence}개는 분량을 넘어 읽지 못했습니다.)",
    },
    "left_out_length": {
        "en": "(The model stopped here because its answer became too long; the rest is missing.)",
        "ko": "(답이 너무 길어져 모델이 여기서 멈췄습니다. 뒷부분이 없습니다.)",
    },
    "left_out_content_filter": {
        "en": "(The model's server held back the rest of this answer.)",
        "ko": "(모델 서버가 이 답의 나머지를 내보내지 않았습니다.)",
    },
    "withheld": {
        "en": "The answer was withheld: {reason}",
        "ko": "답변을 내보내지 않았습니다: {reason}",
    },
}


def say(key: str, language: Language, **facts: str) -> str:
    """The sentence ``key`` in ``language``; raises KeyError for a key or a fact that is not there (our bug)."""
    return _TEXTS[key][language].format(**facts)


def translations(source: Language, target: Language) -> dict[str, str]:
    """{sentence in one language: the same in the other}, with their blanks: for readers of another language."""
    return {texts[source]: texts[target] for texts in _TEXTS.values()}


def clip(text: str, limit: int = 160) -> str:
    """At most ``limit`` characters of a text that a summary quotes, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
