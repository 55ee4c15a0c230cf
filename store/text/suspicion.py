"""Marks text that speaks to the model instead of to a reader. A weak heuristic, and meant as no more.

It knows phrases that injected text often uses, in Korean and English; other words pass it, and an honest manual may be
caught. What protects is trust: where a document comes from, and the policy that asks more of what rests on it. A mark
tells an operator where to look, and makes the document count as untrusted until a person says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "ignore-instructions": (
        r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?\n]{0,40}"
        r"\b(?:previous|prior|above|earlier|preceding|all|your|system|these)\b[^.!?\n]{0,40}"
        r"\b(?:instruction|prompt|rule|direction|guideline|message|polic)",
        r"(?:이전|앞선|앞의|위의|기존|지금까지의|모든|시스템)[^.!?\n]{0,20}"
        r"(?:지시|명령|프롬프트|규칙|지침|안내)[^.!?\n]{0,12}(?:무시|잊|따르지|버리)",
    ),
    "new-role": (
        r"\byou are (?:now|no longer)\b",
        r"\bact as (?:an?|the) (?:unrestricted|different|system|admin\w*|developer)\b",
        r"\b(?:enter|enable) (?:developer|dan|debug|god) mode\b",
        r"(?:너는|당신은|넌) (?:이제|지금)부터",
        r"(?:관리자|개발자|시스템) (?:모드|권한)(?:로|으로|를|을)? (?:전환|행동|실행|켜)",
    ),
    "prompt-markup": (
        r"<\|(?:im_start|im_end|system|user|assistant|begin_of_text|eot_id|start_header_id|end_header_id)\|>",
        r"\[/?INST\]|<</?SYS>>",
        r"^\s*(?:#+\s*)?(?:system|assistant|시스템)\s*(?:prompt|message|프롬프트|메시지)\s*:\s*\S",
    ),
    "hidden-from-people": (
        r"\b(?:do not|don't|never) (?:tell|inform|mention|reveal|show)[^.!?\n]{0,30}"
        r"\b(?:user|human|operator|guest|anyone)\b",
        r"(?:사용자|운영자|사람|고객|담당자)(?:에게|한테)[^.!?\n]{0,20}(?:알리지|말하지|보이지|밝히지) (?:마|말)",
    ),
    "act-without-asking": (
        r"\bwithout (?:asking|approval|confirmation|review|permission)[^.!?\n]{0,40}"
        r"\b(?:call|run|execute|invoke|send|refund|approve|transfer)",
        r"\b(?:call|run|execute|invoke|approve)\b[^.!?\n]{0,50}\bwithout (?:asking|approval|confirmation|review)",
        r"(?:승인|확인|검토|결재)(?:을|를)? ?(?:없이|받지 말고|거치지 말고|건너뛰)[^.!?\n]{0,30}"
        r"(?:실행|호출|보내|환불|처리|진행)",
    ),
}
PATTERNS: Final = {name: re.compile("|".join(said), re.I | re.M) for name, said in PHRASES.items()}
HIDDEN: Final = re.compile("[\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
MANY_HIDDEN: Final = 8  # signs that show nothing; Korean and English text has next to none


def flags_of(text: str) -> list[str]:
    """Names of what in ``text`` looks as if it spoke to the model; [] for nearly every text."""
    seen = unicodedata.normalize("NFKC", HIDDEN.sub("", text))
    seen = re.sub(r"[ \t\n]+", " ", seen) if "\n" in seen else seen
    found = [name for name, pattern in PATTERNS.items() if pattern.search(seen) or pattern.search(text)]
    if len(HIDDEN.findall(text)) >= MANY_HIDDEN:
        found.append("invisible-text")
    return found
