"""Invented tools of many trades, and requests for them. Korean and English; the words are ``grammar/tools.txt``.

Tools, arguments and names are drawn anew for every example, so that a call can only be written by reading the
signature and the request: it is how the base learns to serve tools that it has never seen. One noun in eight is for
tests only.
"""

# ruff: noqa: E501 - one wording a line reads better than a wrapped one

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Final

from adapters.prompt import Turn
from adapters.training import qa, speech, wordings
from adapters.training.examples import Example, tool
from adapters.training.facts import vocabulary as nouns_of
from adapters.training.words import Side, Values, choose, fill, side_of
from state import JSON, Language, ToolSpec

ENDINGS: Final[dict[Language, list[str]]] = {
    "en": [" Ltd", " Inc", " Foods", " Motors", " Clinic", " Store", " School", " Logistics", " Hall", ""],
    "ko": ["상사", "물산", "식품", "의원", "상회", "학원", "물류", "빌딩", "마트", ""],
}
ASK: Final[dict[Language, list[str]]] = {"en": ["What is the {a}?"], "ko": ["{a}을(를) 알려 주시겠어요?"]}
GATES: Final[dict[Language, str]] = {"en": "What should {a} be?", "ko": "{a} 값을 알려 주세요."}
PARTS: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "any": ["{a} {x}", "{a}: {x}", "with {a} {x}", "the {a} is {x}", "{a} = {x}", "{x} as {a}", "with {x} as the {a}", "using {a} {x}", "{a} should be {x}", "{a} {x} please", "under the {a} {x}", "set the {a} to {x}"],
        "person": ["for {x}", "{x}", "for {a} {x}", "the {a} is called {x}"],
        "place": ["in {x}", "at {x}", "near {x}", "{x}"],
        "house": ["at {x}", "for {x}", "{x}"],
        "date": ["on {x}", "by {x}", "for {x}", "{x}", "from {x}", "starting {x}"],
        "time": ["at {x}", "by {x}", "{x}"],
        "int": ["{x} {a}", "{a} of {x}", "{x}"],
        "money": ["{x}", "for {x}", "{a} of {x}", "worth {x}"],
        "words": ["called {x}", "named {x}", "about {x}", "\"{x}\"", "titled {x}", "{x}"],
        "sentence": [": {x}", "saying {x}", "with the {a} \"{x}\"", "{a}: \"{x}\"", "and write: {x}", "- {x}"],
        "code": ["{x}", "number {x}", "no. {x}", "({x})", "with the id {x}"],
        "email": ["{x}", "to {x}", "at {x}"], "phone": ["{x}", "to {x}", "at {x}"],
        "enum": ["{x}", "make it {x}", "in {x}", "{x} {a}"],
    },
    "ko": {
        "any": ["{a} {x}", "{a}: {x}", "{a}은(는) {x}", "{a}을(를) {x}으로(로)", "{x}을(를) {a}으로(로)", "{a}은(는) {x}이고", "{a} {x}으로(로)", "{a}이(가) {x}인", "{x}({a})", "{a}={x}", "{a} 값은 {x}"],
        "person": ["{x} 님", "{x} 앞으로", "{x}", "{x} 이름으로"],
        "place": ["{x}에서", "{x}에", "{x} 쪽", "{x}"],
        "house": ["{x}에서", "{x} 앞으로", "{x}"],
        "date": ["{x}에", "{x}까지", "{x}부터", "{x}", "{x}자로"],
        "time": ["{x}에", "{x}까지", "{x}"],
        "int": ["{x}", "{a} {x}", "{x}으로(로)"],
        "money": ["{x}", "{x}으로(로)", "{x}짜리", "총 {x}"],
        "words": ["'{x}'", "{x}", "{x}라는 {a}으로(로)", "{x} 관련"],
        "sentence": ["'{x}'라고", "\"{x}\"", "{a}은(는) '{x}'", "{x}라는 {a}으로(로)", "{a}: {x},"],
        "code": ["{x}", "{x}번", "번호 {x}", "{x} 건"],
        "email": ["{x}으로(로)", "{x}", "{x} 주소로"], "phone": ["{x}으로(로)", "{x}", "{x} 번호로"],
        "enum": ["{x}", "{x}으로(로)", "{a}은(는) {x}"],
    },
}  # fmt: skip
SAYINGS: Final[dict[Language, list[str]]] = {
    "en": ["{p}. {do} please", "{do}, {p}.", "{noun} to {verb}: {p}", "New request: {do}. {p}", "{noun}: {p}, please {verb} it", "I have a {noun} to {verb}, {p}.", "One {noun} has to be handled ({verb}): {p}", "We still have to {do} {p}.", "there's a {noun} here, {p}. {verb} it please"],
    "ko": ["{do} 주세요. {p}", "{p}. {do} 줘", "{p}, {do} 주시겠어요?", "{noun} 건입니다. {p} {verb} 주세요.", "{p} {noun} {verb} 주면 됩니다", "{noun}, {p}. {verb} 줘요", "{verb} 줄 {noun} 있어요. {p}", "{noun} 하나 {verb} 주세요, {p}"],
}  # fmt: skip
ANSWERED: Final = 0.2
"""Share of the calls of which one argument was asked for and answered."""


@dataclass(frozen=True)
class Word:
    """A verb, noun or kind of argument: its name in a tool, and how it is said in each language."""

    name: str
    said: dict[Language, list[str]]
    kind: str = ""
    """Of an argument: what its values are. Of a verb: how a Korean description ends."""
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of an enum: each value, and how it is said in Korean."""


@cache
def words() -> dict[str, list[Word]]:
    """The entries of ``grammar/tools.txt``: ``verbs``, ``nouns``, ``arguments``."""
    found: dict[str, list[Word]] = {}
    section = ""
    for line in (wordings.GRAMMAR / "tools.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
            found[section] = []
        elif line.strip():
            name, english, korean, *rest = (part.strip() for part in line.split(" | "))
            kind, _, listed = (rest[0] if rest else "").partition(": ")
            values = tuple(
                (value, tuple(x.strip() for x in said.split("/")))
                for value, _, said in (part.strip().partition("=") for part in listed.split(",") if listed)
            )
            each: dict[Language, list[str]] = {"en": english.split(", "), "ko": korean.split(", ")}
            found[section].append(Word(name, each, kind, values))
    return found


@dataclass(frozen=True)
class Invented:
    """A tool with the words that it was made of."""

    tool: ToolSpec
    verb: Word
    noun: Word
    arguments: dict[str, Word]


def invented(v: Values) -> Invented:
    """A tool of one verb and one noun with one to five arguments."""
    r = v.rng
    verb, noun = r.choice(words()["verbs"]), r.choice(_nouns(v.side))
    chosen = r.sample(words()["arguments"], k=r.choice((1, 2, 2, 3, 3, 4, 5)))
    parts = []
    for i, word in enumerate(chosen):
        kind = {"int": ": int", "money": ": int", "date": ": date"}.get(word.kind, "")
        if word.kind == "enum":
            kind = f": {'|'.join(value for value, _ in word.values)}"
        parts.append(word.name + ("?" if i and r.random() < 0.25 else "") + kind)
    name = r.choice(
        (f"{verb.name}_{noun.name}", f"{verb.name}_{noun.name}", f"{noun.name}_{verb.name}", f"{noun.name}_{verb.name}_{r.choice('abcxyz')}", verb.name + noun.name.title().replace("_", ""))
    )  # fmt: skip
    return Invented(tool(name, _description(v, verb, noun), ", ".join(parts)), verb, noun, {w.name: w for w in chosen})


@cache
def _nouns(side: Side) -> list[Word]:
    return [word for word in words()["nouns"] if side_of(word.name) == side]


def _description(v: Values, verb: Word, noun: Word) -> str:
    r = v.rng
    if r.random() < (0.5 if v.language == "ko" else 0.05):
        return fill(r, f"{r.choice(noun.said['ko'])}을(를) {verb.kind}" + r.choice(("", ".")))
    said, thing = verb.said["en"][0], r.choice(noun.said["en"][:2])
    form = r.choice(
        ("{v} {a} {n}", "{v} {a} {n}.", "{v} the {n} of the company.", "{v} {n}s", "Use this to {l} {a} {n}.")
    )
    return form.format(v=said.capitalize(), l=said, a=_article(thing), n=thing)


def _article(noun: str) -> str:
    return "an" if noun[:1].lower() in "aeiou" else "a"


def _value(v: Values, word: Word) -> tuple[str, JSON]:
    """How a value is said, and what stands in the call."""
    r, kind = v.rng, word.kind
    if kind == "int":
        n = r.choice((r.randint(1, 99), r.randint(100, 9999), r.randint(1, 99) * 1000))
        return r.choice((str(n), f"{n:,}")), n
    if kind == "money":
        return v.amount()
    if kind == "enum":
        value, korean = r.choice(word.values)
        return (r.choice(korean) if v.language == "ko" and korean else value.replace("_", " ")), value
    text = _text(v, kind)
    return text, text


def _text(v: Values, kind: str) -> str:
    r = v.rng
    if kind == "date":
        return v.stay()[0]
    if kind == "time":
        return qa.slots(v)["t1"]
    if kind == "code":
        made = r.choice(
            (
                v.booking_id,
                lambda: v.pick(
                    lambda: (
                        f"{r.choice('ABCDEFKLMNPRSTXZ')}{r.choice(('', '-', r.choice('ABCDKMST') + '-'))}{r.randint(10, 99_999)}"
                    )
                ),
            )
        )
        return made()
    if kind == "house":
        return v.hotel() if r.random() < 0.4 else _name(v) + r.choice(ENDINGS[v.language])
    if kind == "sentence":
        if r.random() < 0.4:
            return qa.sentence(v, r.choice(qa.blocks(v.language))).rstrip(".")
        slots = {"hotel": v.hotel(), "guest": v.guest(), "date": v.stay()[0], "n": r.randint(1, 12)}
        return fill(r, r.choice(wordings.values(v.language, "texts", v.side)), **slots)
    if kind == "words":
        return " ".join(_name(v) for _ in range(r.choice((1, 1, 2, 2, 3))))
    return {"person": v.guest, "place": v.city, "email": v.email, "phone": v.phone}[kind]()


def _name(v: Values) -> str:
    """A word of the language, or an invented one."""
    if v.rng.random() < 0.5:
        return v.word()
    return v.rng.choice(nouns_of(v.language)["nouns"])


def calls(
    rng: random.Random, side: Side, language: Language, *, missing: bool = False, form: bool = False,
    slice_: str = "invented",
) -> Example:  # fmt: skip
    """A request for an invented tool: the call, or (``missing``) the question for the first required argument that lacks.

    ``form``: it is asked for as a form would, a line for each argument; no training text is.
    """
    v = Values(rng, side, language)
    made = {x.tool["name"]: x for x in (invented(v) for _ in range(rng.choice((1, 2, 3, 4, 5))))}
    name = rng.choice(list(made))
    wanted, tools = made[name], [x.tool for x in made.values()]
    required = [str(x) for x in wanted.tool["parameters"]["required"]]
    lacks = set(rng.sample(required, k=rng.randint(1, min(2, len(required))))) if missing else set()
    spoken: dict[str, str] = {}
    values: dict[str, JSON] = {}
    for key, word in wanted.arguments.items():
        if key not in lacks and (key in required or rng.random() < 0.5):
            spoken[key], values[key] = _value(v, word)
    asked = ""
    if not missing and len(required) > 1 and rng.random() < ANSWERED:
        asked = rng.choice(required)
    request = _form if form else _request
    turns = [Turn("user", request(v, wanted, {k: x for k, x in spoken.items() if k != asked}))]
    if asked:
        label = wanted.arguments[asked].said[language][0]
        question = rng.choice((*ASK[language], GATES[language].replace("{a}", rng.choice((asked, label)))))
        reply = fill(rng, rng.choice(wordings.replies(language, "any", side)), value=spoken[asked])
        turns += [Turn("assistant", fill(rng, question, a=label)), Turn("user", reply)]
    if not missing:
        return Example("call", slice_, language, turns, tools, [], name, values)
    first = next(key for key in required if key in lacks)
    question = fill(rng, rng.choice(ASK[language]), a=wanted.arguments[first].said[language][0])
    return Example(
        "ask", slice_, language, turns, tools, [], arguments=values, about=f"{name}.{first}", question=question
    )


def _form(v: Values, wanted: Invented, spoken: dict[str, str]) -> str:
    """What somebody sends who fills in a form: what is to be done, and a line for each argument, in any order."""
    r = v.rng
    verb, noun = r.choice(wanted.verb.said[v.language]), r.choice(wanted.noun.said[v.language])
    head = f"{verb.capitalize()} the {noun}, please." if v.language == "en" else fill(r, f"{noun}을(를) {verb} 주세요.")
    bullet, colon = r.choice(("", "", "- ")), r.choice((": ", ": ", " : ", " = "))
    lines = []
    for name, said in spoken.items():
        label = r.choice(wanted.arguments[name].said[v.language])
        lines.append(f"{bullet}{label.capitalize() if v.language == 'en' else label}{colon}{said}")
    r.shuffle(lines)
    return "\n".join((head, *lines))


def _request(v: Values, wanted: Invented, spoken: dict[str, str]) -> str:
    """What a user says for a tool with the arguments that are ``spoken``."""
    r = v.rng
    kinds = Counter(word.kind for word in wanted.arguments.values())
    parts = []
    for name, said in spoken.items():
        word = wanted.arguments[name]
        forms = PARTS[v.language]["any"]
        # without its label a value is understood only where no other argument is of its kind
        bare = kinds[word.kind] == 1 or word.kind == "sentence"
        if bare and word.kind in PARTS[v.language] and r.random() < 0.5:
            forms = PARTS[v.language][word.kind]
        parts.append((word.kind == "sentence", fill(r, r.choice(forms), a=r.choice(word.said[v.language]), x=said)))
    r.shuffle(parts)
    parts.sort(key=lambda part: part[0])  # what is long stands last, as people put it
    verb, noun = r.choice(wanted.verb.said[v.language]), r.choice(wanted.noun.said[v.language])
    mark = r.choice((" ", ", ", ", ", " and ")) if v.language == "en" else r.choice((" ", " ", ", "))
    told = mark.join(text for _, text in parts)
    if v.language == "en":
        do, phrase = f"{verb} {r.choice((_article(noun), 'the', 'this'))} {noun}", "{do} {p}"
    else:
        do, phrase = fill(r, f"{noun}{r.choice(('', '', '을(를)'))} {verb}"), "{p} {do}"
    if r.random() < 0.65:
        frame = choose(r, r.choice(wordings.lines(v.language, "frame").train)).replace("{do}", phrase)
    else:
        frame = r.choice(SAYINGS[v.language])
    text = speech.styled(v, frame)
    for slot, value in (("{do}", do), ("{verb}", verb), ("{noun}", noun)):
        text = text.replace(slot, value)
    text = choose(r, speech.around(v, text, [])).replace("{p}", told)
    text = (
        " ".join(text.split())
        .replace(" .", ".")
        .replace(" ,", ",")
        .replace(" ?", "?")
        .replace(",.", ".")
        .replace(" :", ":")
    )
    text = text.strip(" ,")
    begins_with_value = any(text.startswith(said) for said in spoken.values())
    raised = v.language == "en" and not begins_with_value and r.random() < 0.6
    return text[0].upper() + text[1:] if raised else text


__all__ = ["Invented", "Word", "calls", "invented", "words"]
