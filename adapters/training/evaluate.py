"""Measures what is served: NF4 base, unmerged adapter, constrained decoding, through the generator port.

``python -m adapters.training evaluate`` prints a table. All names, dates and ids are of the ``test`` side, which no
training text shows; the slices "wordings" use sentences of the grammars that only tests see; ``sample`` asks
questions about the project's sample documents, written by hand and never trained on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from adapters.decoding import Decoding
from adapters.prompt import Turn, called
from adapters.speakers.evidence import PER_TURN
from adapters.training import frontdesk, invented, qa, trades
from adapters.training.examples import Example, Kind
from adapters.training.words import Values
from state import Generation, Language, Passage

HELDOUT: Final = Path(__file__).parent / "heldout" / "sample_qa.jsonl"
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ko")
DECIDED: Final = "call or answer decided right"
FALSE: Final = "false abstention (lower is better)"
FALSE_SAMPLE: Final = "sample documents, false abstention (lower is better)"
WEIGHTS_TRIED: Final = (0.0, 3.0, 6.0, 10.0, 15.0, 20.0, 25.0, 30.0)
NAME_WEIGHTS_TRIED: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
VERDICT_WEIGHTS_TRIED: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
LIKENESS_WEIGHTS_TRIED: Final = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
MARGINS_TRIED: Final = (-8.0, -6.0, -5.0, -4.0, -3.5, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
Make = Callable[[random.Random, Language], Example]


def _dressed(r: random.Random, e: Example) -> Example:
    """With sentences that were found for the request's words but answer nothing."""
    if r.random() < 0.4:
        return e
    return replace(e, evidence=qa.evidence_only(Values(r, "test", e.language), r.choice((4, 8, 12))))


def _tooled(e: Example) -> Example:
    return replace(e, tools=list(frontdesk.TOOLS))


def _several(r: random.Random, language: Language) -> Example:
    """A call for which something was asked back."""
    while True:
        made = frontdesk.example(r, "test", language, "call")
        if made.turns[-2:-1] and not made.turns[-2].content.startswith("{") and made.turns[-2].role == "assistant":
            return _dressed(r, made)


SLICES: Final[dict[str, Make]] = {
    "call, unseen names and dates": lambda r, x: _dressed(r, frontdesk.example(r, "test", x, "call")),
    "call, unseen wordings too": lambda r, x: _dressed(r, frontdesk.example(r, "test", x, "call", heldout=True)),
    "call after a question was answered": _several,
    "missing argument asked": lambda r, x: _dressed(r, frontdesk.example(r, "test", x, "ask")),
    "missing asked, unseen wordings": lambda r, x: _dressed(r, frontdesk.example(r, "test", x, "ask", heldout=True)),
    "invented tool called": lambda r, x: _dressed(r, invented.calls(r, "test", x)),
    "invented tool called, from a form": lambda r, x: invented.calls(r, "test", x, form=True),
    "invented tool, missing asked": lambda r, x: _dressed(r, invented.calls(r, "test", x, missing=True)),
    "tool result told": lambda r, x: frontdesk.example(r, "test", x, "tell"),
    "question, sentence chosen": lambda r, x: _tooled(qa.example(r, "test", x)),
    "question, unseen wordings": lambda r, x: _tooled(qa.example(r, "test", x, heldout_q=True, heldout_s=True)),
    "abstains without evidence": lambda r, x: _tooled(qa.example(r, "test", x, abstain=True)),
    "question of an unseen trade": lambda r, x: _tooled(trades.example(r, "test", x)),
    "abstains in an unseen trade": lambda r, x: _tooled(trades.example(r, "test", x, abstain=True)),
}
ELSEWHERE: Final = (
    "invented tool called", "invented tool, missing asked", "question of an unseen trade",
    "abstains in an unseen trade",
)  # fmt: skip
"""Tools that are nobody's and documents of other houses: the rest is the front desk, which an adapter is taught."""


@dataclass
class Tally:
    """Right and asked of one slice and language, and the first failures."""

    right: int = 0
    asked: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, ok: bool, told: str, *, good: bool = True) -> None:
        """Count one answer; ``good`` says whether what is counted is."""
        self.asked += 1
        self.right += ok
        if ok != good and len(self.failures) < 40:
            self.failures.append(told)


@dataclass
class Report:
    """Tallies by slice and language."""

    tallies: dict[str, dict[Language, Tally]]

    def share(self, name: str, language: Language) -> float:
        """Share of right answers."""
        tally = self.tallies[name][language]
        return tally.right / max(tally.asked, 1)

    def table(self) -> str:
        """A Markdown table."""
        rows = ["| slice | English | Korean |", "|---|---|---|"]
        for name, by_language in self.tallies.items():
            cells = [f"{self.share(name, x):.2f} ({by_language[x].right}/{by_language[x].asked})" for x in LANGUAGES]
            rows.append(f"| {name} | {' | '.join(cells)} |")
        return "\n".join(rows)


def messages_of(turns: list[Turn]) -> list[AnyMessage]:
    """Turns as LangChain messages; calls and results share an id."""
    out: list[AnyMessage] = []
    for i, turn in enumerate(turns):
        if turn.role == "user":
            out.append(HumanMessage(turn.content))
        elif turn.role == "ipython":
            out.append(ToolMessage(turn.content, tool_call_id=f"c{i - 1}"))
        elif call := called(turn.content):
            out.append(AIMessage("", tool_calls=[{"name": call[0], "args": call[1], "id": f"c{i}"}]))
        else:
            out.append(AIMessage(turn.content))
    return out


def passages_of(sentences: list[str]) -> list[Passage]:
    """Each sentence as a passage of its own: their order says nothing, and none continues the one before."""
    return [
        Passage(
            id=f"p{i}", document=f"d{i}", title="", text=text, start=0, end=len(text), page=None, language="en",
            sentences=[[0, len(text)]], scores={"fused": 1.0}, trust="trusted",
        )
        for i, text in enumerate(sentences)
    ]  # fmt: skip


class Verdict(NamedTuple):
    """How a turn was: all right; the right kind of turn (a call or question about one, or an answer); what was said."""

    right: bool
    decided: bool
    told: str


def judge(example: Example, said: Generation) -> Verdict:
    """A call is right when the tool and all its arguments are, a question when it is about the missing argument."""
    calls = cast(AIMessage, said["message"]).tool_calls
    told = f"{[t.content for t in example.turns if t.role != 'ipython']} said "
    told += f"{calls[0]['name']} {calls[0]['args']}" if calls else repr(said["about"] or said["message"].text)
    if example.kind in ("call", "ask"):
        decided = bool(calls) or bool(said["clarification"])
        if example.kind == "ask":
            return Verdict(said["about"] == example.about, decided, f"{told} not {example.about}")
        right = bool(calls) and calls[0]["name"] == example.name and calls[0]["args"] == example.arguments
        return Verdict(right, decided, f"{told} not {example.name} {example.arguments}")
    decided = not calls and not said["clarification"]
    if example.kind == "abstain":
        return Verdict(said["abstained"], decided, told)
    wanted = " ".join(example.evidence[example.n - 1].split())
    quoted = [" ".join(cited["quote"].split()) for cited in said["citations"]]
    return Verdict(quoted == [wanted], decided, f"{told} not {wanted!r}")


def examples(name: str, language: Language, n: int, seed: int) -> Iterator[Example]:
    """``n`` examples of a slice; evidence is cut to what the generator shows."""
    for i in range(n):
        yield SLICES[name](random.Random(f"test:{name}:{language}:{seed}:{i}"), language)


def sample_questions() -> list[tuple[Example, str]]:
    """The hand-written questions about the sample documents, as examples, with their slice."""
    out = []
    for line in HELDOUT.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        kind: Kind = "choose" if row["n"] else "abstain"
        out.append(
            (
                Example(
                    kind, "sample", row["language"], [Turn("user", row["question"])],
                    list(frontdesk.TOOLS), row["evidence"], n=row["n"],
                ),
                "sample documents, sentence chosen" if row["n"] else "sample documents, abstains",
            )
        )  # fmt: skip
    return out


def evaluate(generator: Any, *, n: int = 40, seed: int = 0, names: list[str] | None = None) -> Report:
    """Ask ``generator`` (the Generator port) ``n`` examples of each slice and language, and the sample questions."""
    report = Report({})

    def count(name: str, language: Language, ok: bool, told: str) -> None:
        tally = report.tallies.setdefault(name, {x: Tally() for x in LANGUAGES})[language]
        tally.add(ok, told, good=name not in (FALSE, FALSE_SAMPLE))

    def ask(example: Example) -> Generation:
        sentences = [] if example.turns[-1].role == "ipython" else example.evidence
        reply = generator.reply(
            messages_of(example.turns), passages=passages_of(sentences), tools=example.tools, language=example.language
        )
        return cast(Generation, reply)

    for name in names or list(SLICES):
        for language in LANGUAGES:
            for example in examples(name, language, n, seed):
                said = ask(example)
                verdict = judge(example, said)
                count(name, language, verdict.right, verdict.told)
                if example.kind != "tell":
                    count(DECIDED, language, verdict.decided, verdict.told)
                if example.kind == "choose":
                    count(FALSE, language, said["abstained"], verdict.told)
    if names is None and HELDOUT.exists():
        for example, name in sample_questions():
            said = ask(example)
            verdict = judge(example, said)
            count(name, example.language, verdict.right, verdict.told)
            if example.kind == "choose":
                count(FALSE_SAMPLE, example.language, said["abstained"], verdict.told)
    return report


OTHERS: Final = -1e6
"""What a sentence of another house than the question's is worth: nothing makes up for it."""


class Weighed(NamedTuple):
    """One question: what each candidate is worth as it is read, each sentence by words and likeness; which is right."""

    margins: list[float]
    shared: list[float]
    alike: list[float]
    tools: int
    right: int


def weighed(generator: Any, *, n: int, seed: int) -> list[Weighed]:
    """Questions with and without an answer among all tools; the held-out wordings are left alone."""
    found = []
    for name in ("question, sentence chosen", "abstains without evidence"):
        for language in LANGUAGES:
            for e in examples(name, language, n, seed):
                e = replace(e, evidence=e.evidence[:PER_TURN])
                if e.n > PER_TURN or not e.evidence:
                    continue
                choice, tools = e.choice(), len(e.tools)
                speaker = generator.speaker
                margins = speaker.margins(choice.request, choice.candidates)
                share = speaker.decoding.trusted(speaker.tokens(choice.request))
                margins = [m if i < tools else share * m for i, m in enumerate(margins)]
                bare = speaker.apart(choice.request, e.evidence)
                shared = [s**speaker.decoding.overlap_power for s in speaker.shared(bare.question, bare.sentences)]
                alike = speaker.likenesses(bare.question, bare.sentences)
                for i, own in enumerate(bare.whose):
                    margins[tools + i] += speaker.decoding.named_weight if own else OTHERS if own is False else 0.0
                found.append(Weighed(margins, shared, alike, tools, choice.right))
    return found


class Readings(NamedTuple):
    """One choice: how much likelier each candidate makes it and the log odds that it fits; which is right (0: none)."""

    read: list[tuple[float, float]]
    right: int


def readings(generator: Any, *, n: int, seed: int) -> list[Readings]:
    """Questions with an answer and requests, each among sentences and all tools; no held-out wordings."""
    found = []
    for name in ("question, sentence chosen", "call, unseen names and dates"):
        for language in LANGUAGES:
            for e in examples(name, language, n, seed):
                e = replace(e, evidence=e.evidence[:PER_TURN], tools=list(frontdesk.TOOLS))
                if e.n <= PER_TURN:
                    choice = e.choice()
                    found.append(Readings(generator.speaker.readings(choice.request, choice.candidates), choice.right))
    return found


def judged(choices: list[Readings]) -> float:
    """The weight of the log odds with which most choices are right; the smallest of the best."""

    def right(weight: float) -> int:
        worth = ([read + weight * odds for read, odds in c.read] for c in choices)
        return sum(max(range(len(x)), key=x.__getitem__) + 1 == c.right for x, c in zip(worth, choices, strict=True))

    return max(VERDICT_WEIGHTS_TRIED, key=lambda weight: (right(weight), -weight))


def tuned(questions: list[Weighed], *, lead: float = 0.0) -> tuple[float, float, float]:
    """The weights of words and of likeness, and the margin, with the least cost, where a lead counts so much.

    A wrong sentence costs 1, an abstention that is false 1, one that is missed 0.5.
    """
    stands = Decoding(lead_weight=lead).stands
    alike = any(any(q.alike) for q in questions)

    def costs(weight: float, likeness: float) -> list[float]:
        """Of every margin that is tried."""
        total = [0.0] * len(MARGINS_TRIED)
        for q in questions:
            each = zip(q.margins[q.tools :], q.shared, q.alike, strict=True)
            worth = [m + weight * s + likeness * a for m, s, a in each]
            best = max(range(len(worth)), key=worth.__getitem__)
            told = stands(worth, best)
            for i, margin in enumerate(MARGINS_TRIED):
                chosen = q.tools + best + 1 if told >= margin else 0
                total[i] += 0.0 if chosen == q.right else 1.0 if q.right else 0.5
        return total

    tried = [
        (cost, weight, likeness, abs(margin), margin)
        for weight in WEIGHTS_TRIED
        for likeness in (LIKENESS_WEIGHTS_TRIED if alike else (0.0,))
        for cost, margin in zip(costs(weight, likeness), MARGINS_TRIED, strict=True)
    ]
    _, weight, likeness, _, margin = min(tried)
    return weight, likeness, margin


class Wanting(NamedTuple):
    """One request: what each tool is worth by its purpose and by its name, and which is right."""

    margins: list[float]
    names: list[float]
    right: int


def requests(generator: Any, *, n: int, seed: int) -> list[Wanting]:
    """Requests that want a tool, complete or not; no held-out wordings."""
    found = []
    for name in ("call, unseen names and dates", "missing argument asked"):
        for language in LANGUAGES:
            for e in examples(name, language, n, seed):
                e = replace(e, tools=list(frontdesk.TOOLS))
                choice, speaker = e.choice(), generator.speaker
                tools = [candidate for candidate in choice.candidates if candidate[1]]
                names = speaker.named(speaker.prompt_of(messages_of(e.turns)), e.tools)
                found.append(Wanting(speaker.margins(choice.request, tools), names, choice.right - 1))
    return found


def weighted(wanting: list[Wanting]) -> float:
    """The weight of the names with which most requests find their tool; the smallest of the best."""

    def right(weight: float) -> int:
        worth = ([m + weight * n for m, n in zip(w.margins, w.names, strict=True)] for w in wanting)
        return sum(max(range(len(x)), key=x.__getitem__) == w.right for x, w in zip(worth, wanting, strict=True))

    return max(NAME_WEIGHTS_TRIED, key=lambda weight: (right(weight), -weight))


def parted(calls: list[float], questions: list[float]) -> float:
    """The margin that parts requests for a tool from questions with the fewest errors; the middle of the best ones."""
    candidates = [x / 2 for x in range(61)]
    errors = [sum(c < t for c in calls) + sum(q >= t for q in questions) for t in candidates]
    best = [t for t, e in zip(candidates, errors, strict=True) if e == min(errors)]
    return best[len(best) // 2]
