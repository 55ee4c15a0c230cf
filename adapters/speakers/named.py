"""Whose sentence it is: where a question names a house, a branch or an office, only its own sentences answer it.

"At Pine Villa: when is breakfast?" shares a name with every sentence of Pine Villa's, and its subject with every
breakfast: words that are counted, and vectors that are compared, add the two up. So the name is taken out of both, the
rest is compared, and a sentence that stands under another house's name is none of the answers.

Names are found by how they are written: Latin ones by capitals (two words, or one before "branch" and the like), Korean
ones by what they end in (호텔, 지점, 병원); nothing is learned, and no list of names is kept.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from morphemes import kiwi

FAMILIES: Final = tuple(
    frozenset(kinds.split())
    for kinds in (
        """hotel hostel motel inn lodge house stay resort villa palace plaza tower court suites residence guesthouse
        호텔 호스텔 모텔 리조트 펜션 레지던스 스테이 스위트 하우스 팰리스 빌라 여관 민박 콘도""",
        "branch store shop outlet 지점 본점 분점 매장 점",
        "office headquarters bureau 지사 본사 사무소 사무실",
        "hospital clinic pharmacy 병원 의원 약국",
        "factory plant works 공장",
        "campus academy 캠퍼스 학원",
        "bank 은행",
        "restaurant cafe 식당 카페",
        "centre center 센터",
    )
)
"""What names end with, or begin: those of one family are others of one kind, and a hotel's restaurant is no hotel."""
SITES: Final = 3
"""A name without such a word may be of any of the first so many families."""
BRANCH: Final = "점"
"""A kind only after a place's name: 해운대점, but not 음식점."""
BRANCHES: Final = 1
"""The family of branches: a hotel's branch is not that hotel."""
FEW: Final = 3
"""A clause of a name and no more words than these says whose the rest is ("For guests of Pine Villa:")."""
_KOREAN: Final = tuple(kind for kinds in FAMILIES for kind in kinds if kind[0] >= "가" and kind != BRANCH)
_KINDS: Final = frozenset[str]().union(*FAMILIES)
_SMALL: Final = frozenset("branch office store shop clinic campus factory plant".split())
_LEADS: Final = frozenset(
    """at in for from of to by with on the a an and or is are am was do does did can could may might must shall should
    will would has have what when where who whom whose which why how if as this that these those my our your no not
    please hello hi hey excuse one guests guest i we you he she it they monday tuesday wednesday thursday friday
    saturday sunday january february march april june july august september october november december""".split()
)
_LATIN: Final = re.compile(r"[A-Z][A-Za-z'’]*(?:-[A-Z][A-Za-z]*)*(?:\s+(?:of\s+)?[A-Z][A-Za-z'’]*)*(?:\s+[a-z]+)?")
_WORD: Final = re.compile(r"\S+")
_HANGUL: Final = re.compile("[가-힣]")
_NOUNS: Final = frozenset("NNG NNP XR XPN SL SH UN".split())
_LETTERS: Final = re.compile(r"[가-힣A-Za-z]+")
"""A word: what stands in it before a name belongs to the name."""
_OPENING: Final = re.compile(r"(?:^|[.?!:,(]\s*)([가-힣]{2,})\s+")
"""A word that a clause begins with, and one more follows."""
_POINTING: Final = frozenset("NP MM VA".split())
"""Tags of what points to a house or describes one, and is no name of it: 이 호텔, 우리 호텔, 좋은 호텔."""
_SMALL_LETTERS: Final = re.compile(r"\b[a-z]+\b")
_CLAUSE: Final = re.compile(r"\(?(?:[^.?!:,()]|[.?!:,](?=\S))+(?:[.?!:,]+(?=\s|$)|\))*\s*|\S\s*")
_PARTICLE: Final = r"(?:에서는|에서|에는|의 경우에는|의 경우|으로|로|에|은|는|이|가|을|를|의)?(?![가-힣])"
_ENDS: Final = re.compile(
    "(?:은|는|이|가|을|를|의|에|에서|에게|께|서|으로|로|와|과|랑|이랑|하고|도|만|까지|부터|보다|처럼|이나|나|라도|이라도|마다|엔|선"
    "|요|이요|이에요|예요|에요|입니다|입니까|인데|인데요|이고|이라|라|고|인가요|이죠|측|쪽){0,3}(?![^\\W_])"
)
"""After a name: the end of its word, or particles up to there."""
_FOLLOWED: Final = re.compile(_PARTICLE)
_TOPIC: Final = re.compile("(?:에서는|의 경우|에는)(?![가-힣])")
_TAKEN: Final = re.compile(rf"(?:\b(?:at|in|for|from|of|to|by|with)\s+)?(?:\bthe\s+)?\0{_PARTICLE}", re.IGNORECASE)


class Apart(NamedTuple):
    """A question and sentences without the names that the question has.

    ``whose``: of each sentence, True where it has such a name, False where it stands under another house's, else None.
    """

    question: str
    sentences: list[str]
    whose: list[bool | None]


def apart(question: str, sentences: Sequence[str]) -> Apart | None:
    """What is to be compared, and whose each sentence is; None where nothing is asked of one house among several.

    A name counts where it stands before or after what is said and not in it ("At Pine Villa: …", "… (Pine Villa)"): in
    the question, in a sentence if it is a house's, or where two sentences stand so under houses of its kind, one if the
    question begins with it. The names of an article's persons and places do not: there they are what is asked about.
    """
    told = [_read(text) for text in sentences]
    heads = [
        [text[a:b] for (a, b), leads in zip(found, _heading(text, found), strict=True) if leads]
        for text, found, *_ in told
    ]
    houses = [name for some in heads for name in some if family(name) is not None]
    kinds = Counter(family(name) for name in houses)
    asked = _read(question)
    leading = zip(asked.names, _heading(question, asked.names), strict=True)
    named = {question[a:b] for (a, b), leads in leading if leads or kinds[family(question[a:b])] > (a > 0)}
    # what is typed in small letters is known by how the sentences write it
    named |= {name for name in set(houses) if _places(name, asked)}
    bare = _without(question, [at for name in named for at in _places(name, asked)])
    if not named or not bare:
        return None
    same = {family(name) for name in named} - {None} or set(range(SITES))
    small = {word for text in (question, *sentences) for word in _SMALL_LETTERS.findall(text)} - _KINDS
    rest, whose = [], list[bool | None]()
    for sentence, heading in zip(told, heads, strict=True):
        text, whole = sentence.text, _joined(sentence.names)
        places = {at for name in named for at in _places(name, sentence)}
        around = {at: _around(at, whole) for at in places}
        longer = {at for at in places if _is_other(text, at, around[at], same, small)}
        longer -= {at for at in longer if _places(text[slice(*around[at])], asked)}
        own = places - longer
        rest.append(_without(text, own) or text)
        whose.append(True if own else False if longer or same & {family(name) for name in heading} else None)
    return Apart(bare, rest, whose)


def family(name: str) -> int | None:
    """Which of ``FAMILIES`` a name's house is of; None where its words do not say."""
    words, last = set(name.casefold().split()), name.split()[-1]
    for i, kinds in enumerate(FAMILIES):
        if words & kinds or last.endswith(tuple(kind for kind in kinds if kind[0] >= "가")):
            return i
    return None


def names(text: str) -> list[tuple[int, int]]:
    """Where names stand, as ``[start, end)`` in characters, in order."""
    found = [*_latin(text), *(_korean(text) if _HANGUL.search(text) else ())]
    return sorted(found)


def _latin(text: str) -> Iterator[tuple[int, int]]:
    for run in _LATIN.finditer(text):
        words = [(run.start() + w.start(), run.start() + w.end(), w.group()) for w in _WORD.finditer(run.group())]
        if words[-1][2].islower() and words[-1][2] not in _SMALL:
            words.pop()
        while words and words[0][2].casefold() in _LEADS:
            words.pop(0)
        while words and words[-1][2].casefold() in _LEADS:
            words.pop()
        inside = any(w.casefold() in ("i", "i'm", "i'd", "i'll", "i've") for _, _, w in words)
        if len(words) > 1 and not inside and not all(w.isupper() for _, _, w in words):
            yield words[0][0], words[-1][1]


def _korean(text: str) -> Iterator[tuple[int, int]]:
    if not any(kind in text for kind in (*_KOREAN, BRANCH)):
        return
    tokens = [(t.start, t.start + t.len, t.form, t.tag.partition("-")[0]) for t in kiwi().tokenize(text)]
    tags = {start: tag for start, _, _, tag in reversed(tokens)}
    # looked up once: a text can be full of names
    words = {at: word.start() for word in _LETTERS.finditer(text) for at in range(*word.span())}
    openings = {word.end(): word.span(1) for word in _OPENING.finditer(text)}
    run: list[tuple[int, int, str]] = []
    for start, end, form, tag in [*tokens, (len(text) + 2, len(text) + 2, "", "")]:
        if run and (tag not in _NOUNS or start - run[-1][1] > 1):
            begun = words.get(run[0][0] - 1, run[0][0])
            yield from _house_of(text, begun, run, tags, openings.get(begun))
            run = []
        if tag in _NOUNS:
            run.append((start, end, form))


def _house_of(
    text: str, start: int, run: Sequence[tuple[int, int, str]], tags: dict[int, str], opening: tuple[int, int] | None
) -> Iterator[tuple[int, int]]:
    """The name that a run of nouns begins with, as far as the last word for a kind of house; a kind alone is none.

    ``start``: where the word of its first noun begins. ``opening``: the word before, if a clause begins with it.
    """
    ends = [end for i, (_, end, form) in enumerate(run) if form.endswith(_KOREAN) or _is_branch(form, alone=not i)]
    if not ends:
        return
    if "".join(text[start : ends[-1]].split()) in _KOREAN:
        # Kiwi takes an invented name for whatever it looks like: 다온 for "that came"
        if opening is None:
            return
        told = [tags[i] for i in range(*opening) if i in tags]
        if not told or told[0] in _POINTING or any(tag.startswith("J") for tag in told):
            return
        start = opening[0]
    yield start, ends[-1]


def _is_branch(form: str, *, alone: bool) -> bool:
    if not form.endswith(BRANCH) or (form == BRANCH and alone):
        return False
    return form == BRANCH or [token.tag for token in kiwi().tokenize(form[:-1])] == ["NNP"]


class _Read(NamedTuple):
    """A text with the names that were found in it, ``spelt`` by their letters; its own ``letters``, and where they are.

    Letters are small ones, without spaces.
    """

    text: str
    names: list[tuple[int, int]]
    spelt: dict[str, list[tuple[int, int]]]
    letters: str
    at: list[int]


def _read(text: str) -> _Read:
    found, spelt = names(text), dict[str, list[tuple[int, int]]]()
    for a, b in found:
        spelt.setdefault(_letters(text[a:b]), []).append((a, b))
    return _Read(text, found, spelt, _letters(text), [i for i, sign in enumerate(text) if not sign.isspace()])


def _letters(text: str) -> str:
    """One for each sign of a text that is no space."""
    return "".join(small if len(small := sign.lower()) == 1 else sign for sign in text if not sign.isspace())


def _places(name: str, there: _Read) -> set[tuple[int, int]]:
    """Where a name stands in a text, however it is spaced and whatever its capitals, and not in the middle of a word.

    A name that was found there is one whatever stands after it: Kiwi sees it end in "다온호텔조식은".
    """
    letters, text, places = _letters(name), there.text, set[tuple[int, int]]()
    at = there.letters.find(letters)
    while at >= 0:
        start, end = there.at[at], there.at[at + len(letters) - 1] + 1
        if not text[max(0, start - 1) : start].isalnum() and _ENDS.match(text, end):
            places.add((start, end))
        at = there.letters.find(letters, at + 1)
    return places.union(there.spelt.get(letters, ()))


def _around(place: tuple[int, int], whole: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The name that a place is a part of, among some names in order; the place itself where it is of none."""
    n = bisect_right(whole, place[0], key=lambda at: at[0]) - 1
    return whole[n] if n >= 0 and place[1] <= whole[n][1] else place


def _begins(text: str, at: int) -> bool:
    """Whether a sentence, or what is in brackets, begins there."""
    return text[max(0, at - 2) : at].strip()[-1:] in ("", *".?!:(")


def _is_other(
    text: str, place: tuple[int, int], around: tuple[int, int], same: set[int | None], small: set[str]
) -> bool:
    """Whether the name around a house's name is another house's: "Pine Villa Busan" is, where it is Pine Villa's.

    What that house has is not ("Pine Villa Business Centre", "Pine Villa's Garden"), nor its name in full ("Hotel Pine
    Villa"). And a capital alone makes no name of a word that is said in ``small`` letters, too ("Pine Villa Parking"),
    or that a sentence begins with ("Near Pine Villa, …").
    """
    (start, end), (first, last) = around, place
    longer = text[start:end]
    if around == place or family(longer) is None or family(longer.split()[-1]) not in {None, BRANCHES, *same}:
        return False
    before = _LETTERS.findall(text[start:first])
    behind = [] if text.startswith(("'", "’"), last) else _LETTERS.findall(text[last:end])
    if before and before[-1].casefold() in _LEADS:
        before = []
    elif before and before[0].isascii() and _begins(text, start) and text[end : end + 1] != ":":
        before = before[1:]
    if behind and behind[-1].casefold() in small:
        behind = []
    more = {word.casefold() for word in (*before, *behind) if not word.isupper()}
    return bool(more - _LEADS - _KINDS - small)


def _heading(text: str, found: Sequence[tuple[int, int]]) -> list[bool]:
    """Of each name, whether the rest of the text is said of whom it names: in a clause of few words, or as a topic.

    Clauses and words are cut once a text and not once a name, of which a text can be full.
    """
    clauses = [*(clause.start() for clause in _CLAUSE.finditer(text)), len(text)] if found else []
    words = [word.span() for word in re.finditer(r"\w+", text)] if len(clauses) > 2 else []
    starts, ends = [start for start, _ in words], [end for _, end in words]

    def leads(start: int, end: int) -> bool:
        if not start and _TOPIC.match(text, end):
            return True
        first, last = bisect_right(clauses, start) - 1, bisect_left(clauses, end)  # "St. Mary 호텔" is in one
        if not first and last == len(clauses) - 1:
            return False
        begins, over = clauses[first], clauses[last]
        particle = _FOLLOWED.match(text, end, over)
        behind = bisect_left(starts, over) - bisect_right(ends, particle.end() if particle else end)
        return _is_few(bisect_left(starts, start) - bisect_left(starts, begins), behind)

    return [leads(start, end) for start, end in found]


def _few(clause: str) -> bool:
    """Whether a clause says whose the rest is: few words before the name, one behind it at most ("다온 호텔 안내:")."""
    before, _, behind = re.sub(rf"\0{_PARTICLE}", "\0", clause).rpartition("\0")
    return _is_few(len(re.findall(r"\w+", before)), len(re.findall(r"\w+", behind)))


def _is_few(before: int, behind: int) -> bool:
    return behind <= 1 and before + behind <= FEW


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same places, one for those that overlap: "Pine Villa" stands in "Pine Villa Busan"."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """A text without names: clauses that say nothing else go whole. Empty where nothing is left."""
    for start, end in reversed(_joined(spans)):
        text = f"{text[:start]}\0{text[end:]}"
    clauses = _CLAUSE.findall(text)
    kept = [clause for clause in clauses if "\0" not in clause or not _few(clause)] if len(clauses) > 1 else clauses
    rest = "".join(kept) if any(re.search(r"\w", clause.replace("\0", "")) for clause in kept) else text
    rest = " ".join(_TAKEN.sub(" ", rest).replace("\0", " ").split())
    rest = re.sub(r" ([.?!,:])", r"\1", rest).strip(" ,:(")
    return rest if re.search(r"\w", rest) else ""


__all__ = ["Apart", "apart", "names"]
