"""Which language a text is in, where its sentences end, and which terms it is indexed under. Korean by Kiwi.

Nothing here knows files or databases. Kiwi's model (105 MB, offline) is loaded at the first Korean text.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from morphemes import kiwi
from state import Language

Span = tuple[int, int]

HANGUL = re.compile(r"[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]")
WINDOW = 20_000  # characters that are split into sentences at once; a file may be one endless line
KOREAN_SHARE = 0.2  # of the letters; Korean text is full of Latin names, English text holds hardly any Hangul
# nouns, verbs, adjectives, roots, adverbs, numerals, foreign words, numbers, Chinese characters, and web-like tokens
CONTENT_TAGS = ("NN", "NR", "VV", "VA", "XR", "MAG", "SL", "SN", "SH", "W_")
KOREAN_STOP = frozenset(
    "하 되 있 없 이 그 저 것 수 때 등 무엇 누구 어디 언제 얼마 어떻 왜 어느 무슨 몇 "
    "알 알리 싶 주 보 받 해 궁금 같".split()
)
BIGRAM = "2:"  # marks a term that is two neighbouring syllables; no morpheme begins so
ENGLISH_STOP = frozenset(
    "a an and are as at be been but by can could did do does for from had has have how i if in into is it its itself "
    "may me might must my no not of on or our shall she should so some such than that the their them then there these "
    "they this those to was we were what when where which while who whom whose why will with would you your he his her "
    "please tell many much".split()
)
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# text that ends in one of these and a full stop goes on
ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|no|vs|etc|e\.g|i\.e|approx|inc|ltd|co|jr|sr|fig|al|cf|tel|ext|dept|est)|\b[a-z])\.$",
    re.IGNORECASE,
)
# soft hyphens, zero-width and direction marks: they part no word, and nobody types them into a question
UNSEEN = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
HALF_DAY = re.compile(r"\b[ap]\.m\.$", re.IGNORECASE)
ITEM_MARK = re.compile(r"(?<!\s)\s++([\u2460-\u2473\u3260-\u327b])\s*$")  # the end of what is searched, not of the text
TITLES = ("《》", "〈〉", "『』", "「」")
QUOTED = "|".join(
    rf"{re.escape(pair[0])}[^{re.escape(pair[1])}\n]{{1,80}}{re.escape(pair[1])}"
    for pair in (*TITLES, "<>", "()", "[]", "“”", "‘’", '""', "''")
)
QUOTED_LAST = re.compile(rf"[.!?。…][\"'”’)\]]*\s*({QUOTED})\s*$")  # what is searched begins and ends where told
SENTENCE_END = re.compile(r"(?<![.!?。…])[.!?。…]++[\"'”’)\]]*+(?=\s)")  # each run of dots is looked at once


def clean(text: str) -> str:
    """NFC, with NUL and other control characters as spaces and lone surrogates as U+FFFD: what PostgreSQL can store."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    text = re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", " ", text)
    text = re.sub(r"[\ud800-\udfff]", "\ufffd", text)
    return unicodedata.normalize("NFC", text)


def language_of(text: str) -> Language:
    """Korean when at least a fifth of the letters is Hangul."""
    letters = sum(character.isalpha() for character in text)
    return "ko" if letters and len(HANGUL.findall(text)) / letters >= KOREAN_SHARE else "en"


def sentences(text: str) -> list[Span]:
    """``[start, end)`` of each sentence in ``text``, in order, without the white space around it."""
    spans, start = [], 0
    while start < len(text):
        window = text[start : start + WINDOW]
        if len(window) == WINDOW and (cut := max(window.rfind(" "), window.rfind("\n"))) > 0:
            window = window[: cut + 1]
        found = _korean_sentences(window) if HANGUL.search(window) else _english_sentences(window)
        spans += [trimmed(text, start + begin, start + end) for begin, end in found]
        start += len(window)
    return [(begin, end) for begin, end in spans if begin < end]


def trimmed(text: str, start: int, end: int) -> Span:
    """The span without white space at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def terms(text: str) -> list[str]:
    """Index terms of a passage or a question, in order, repetitions kept; full-width forms are as the usual ones."""
    text = UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    if HANGUL.search(text):
        return [term for token in kiwi().tokenize(text) if (term := _korean_term(token))]
    words = (word.lower().replace("’", "'").removesuffix("'s") for word in WORD.findall(text))
    return [stem(word) for word in words if word not in ENGLISH_STOP]


def syllable_pairs(text: str) -> list[str]:
    """Terms of two neighbouring Hangul syllables: they catch the names that Kiwi cuts differently in each sentence."""
    runs = re.findall(r"[\uac00-\ud7a3]{2,}", UNSEEN.sub("", text))
    return [BIGRAM + run[at : at + 2] for run in runs for at in range(len(run) - 1)]


def stem(word: str) -> str:
    """A cautious English stem: plural, -ed, -ing and a silent e, so that "parking", "parked" and "parks" meet."""
    if not word.isascii() or len(word) < 4:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3 and re.search("[aeiouy]", root):
            doubled = len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz"
            return (root[:-1] if doubled else root).removesuffix("e")
    return word.removesuffix("e") if len(word) > 4 else word


def _korean_term(token: Any) -> str:
    tag, form = token.tag, token.form.lower()
    if not tag.startswith(CONTENT_TAGS) or form in KOREAN_STOP:
        return ""
    if tag == "SL":
        return "" if form in ENGLISH_STOP else stem(form)
    return form if any(character.isalnum() for character in form) else ""


def _korean_sentences(text: str) -> list[Span]:
    """By Kiwi; what it leaves at the end of a sentence and is of the next one (``_of_next``) begins that."""
    found = [(one.start, one.end) for one in kiwi().split_into_sents(text, return_sub_sents=False)]
    spans: list[Span] = []
    begins: int | None = None
    for index, (start, end) in enumerate(found):
        start = begins if begins is not None else start
        follows = found[index + 1][0] if index + 1 < len(found) else None
        begins = _of_next(text, start, end, follows) if follows is not None else None
        spans.append((start, begins if begins is not None else end))
    return spans


def _of_next(text: str, start: int, end: int, follows: int) -> int | None:
    """Where in a sentence the next one begins: with a number in a circle (①), or with a title of a work (《…》).

    Other brackets and quotation marks are of the next one where that goes on with a particle: '…'의.
    """
    marker = ITEM_MARK.search(text, start, end)
    if marker is not None and marker.start() > start:
        return marker.start(1)
    quoted = QUOTED_LAST.search(text, start, end)
    if quoted is None or "\n" in text[quoted.end(1) : follows]:
        return None
    of_next = follows == quoted.end(1) or quoted[1][0] in {pair[0] for pair in TITLES}
    return quoted.start(1) if of_next else None


def _english_sentences(text: str) -> list[Span]:
    spans, start = [], 0
    for match in SENTENCE_END.finditer(text):
        follows = re.compile(r"\S").search(text, match.end())
        before = text[max(start, match.end() - 16) : match.end()]
        goes_on = (follows is not None and follows.group().islower()) or (
            ABBREVIATION.search(before) and not HALF_DAY.search(before)
        )
        if not goes_on:
            spans.append((start, match.end()))
            start = match.end()
    return [*spans, (start, len(text))]
