"""Who is shown what, and what counts as right, with speakers that say what a test wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from adapters.gate.matrix import CELLS, Asked, measure, plain
from adapters.training.evaluate import passages_of
from dojang.cli.exits import Exit
from tests.dojang.conftest import Shell

TEXTS = ["Breakfast is from 7 to 10.", "The pool is on the roof."]
BREAKFAST = Asked("hotel", "When is breakfast?", "en", passages_of(TEXTS), ("p0", 0, 26))
SAUNA = Asked("hotel", "Is there a sauna?", "en", passages_of(TEXTS), None)


@dataclass
class Says:
    """Cites the first passage, or this text; without passages it does not know, unless it makes things up."""

    text: str = ""
    invents: bool = False
    shown: list[int] = field(default_factory=list)

    def reply(self, messages: Any, *, passages: Any, tools: Any, language: str) -> dict[str, Any]:
        self.shown.append(len(passages))
        silent = not passages and not self.invents
        cited = [] if silent or self.text or not passages else [{"passage": passages[0]["id"], "start": 3}]
        return {"message": AIMessage(self.text), "citations": cited, "abstained": silent}


def test_each_question_is_asked_four_ways_and_only_two_of_them_have_passages() -> None:
    bare, tuned, told = Says(), Says(), list[tuple[int, int, str]]()
    speakers = {False: bare, True: tuned}
    found = measure(speakers, [BREAKFAST, SAUNA], [], on_progress=lambda *news: told.append(news))
    assert (bare.shown, tuned.shown) == ([0, 0, 2, 2], [0, 0, 2, 2])
    assert {cell: (t.answered, t.abstained, t.false_abstentions) for cell, t in found["hotel"].items()} == {
        "none": (0, 1, 1), "rag": (1, 0, 0), "adapter": (0, 1, 1), "both": (1, 0, 0),
    }  # fmt: skip
    assert (told[0], told[-1]) == ((1, 8, "none"), (8, 8, "both"))
    assert set(plain(found)["hotel"]) == set(CELLS)


@pytest.mark.parametrize(
    ("text", "right"), [("It is so: Breakfast is from\n7 to 10.", True), ("The pool is on the roof.", False)]
)
def test_what_is_said_word_for_word_counts_also_without_a_citation(text: str, right: bool) -> None:
    speakers = {False: Says(text, invents=True), True: Says(text)}
    found = measure(speakers, [BREAKFAST], [], on_progress=lambda *news: None)
    assert {cell: t.answered for cell, t in found["hotel"].items()} == dict.fromkeys(CELLS, right)


def test_a_citation_of_another_sentence_is_wrong() -> None:
    pool = BREAKFAST._replace(gold=("p1", 0, 24))
    found = measure({False: Says(), True: Says()}, [pool], [], on_progress=lambda *news: None)
    assert [t.answered for t in found["hotel"].values()] == [0, 0, 0, 0]


def test_the_picture_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dojang.flywheel.four_ways.sample_asked", lambda: [BREAKFAST, SAUNA])
    monkeypatch.setattr("dojang.flywheel.four_ways.speakers", lambda base, adapter: {False: Says(), True: Says()})
    shell = Shell(tmp_path / "home", {}, capfd, monkeypatch)
    done = shell("adapters", "matrix", "--lang", "ko", "--picture", str(tmp_path / "m.png"))
    assert done.code == Exit.DONE
    assert "근거만" in done.out
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
