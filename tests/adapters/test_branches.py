"""Continuations read side by side are what each would be alone."""

from __future__ import annotations

import math

import pytest
import torch

from adapters.decoding import Decoding
from adapters.errors import PromptTooLong
from adapters.forms.values import Spans
from adapters.local.branches import Branches
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine, Prefix
from adapters.speakers import reading
from adapters.speakers.reading import ReadingSpeaker

PROMPT = "남산스테이 book a room for Emma Lee"


def alone(engine: Engine, ids: list[int]) -> Prefix:
    return engine.read(ids, adapter="red")


def test_rows_of_different_lengths_read_and_score_as_alone(engine: Engine) -> None:
    prompt, stop = engine.encode(PROMPT), engine.encode("\n")[0]
    lines = [engine.encode(text) for text in ("hotel: Namsan", "guest:", "check_in: December 3 to December 5")]
    branches = Branches(engine, alone(engine, prompt)).take([0, 0, 0])
    branches.extend(lines)
    branches = branches.take([2, 0, 0])
    branches.extend([[stop], lines[1], lines[2]])
    told = [[*lines[2], stop], [*lines[0], *lines[1]], [*lines[0], *lines[2]]]
    candidates = [[engine.encode(text) for text in texts] for texts in (("Emma Lee", "2"), (), ("from December 3",))]
    scored = branches.steps(candidates, stop)
    for row, said, of_row, found in zip(branches.rows, told, candidates, scored, strict=True):
        expected = alone(engine, [*prompt, *said])
        assert row.ids == expected.ids
        torch.testing.assert_close(row.logits, expected.logits, atol=1e-4, rtol=1e-4)
        for (tokens, stops), (tokens_alone, stops_alone) in zip(
            found, engine.steps(expected, of_row, stop) if of_row else [], strict=True
        ):
            torch.testing.assert_close(tokens, tokens_alone, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(stops, stops_alone, atol=1e-4, rtol=1e-4)


def test_a_row_that_does_not_fit_is_refused(engine: Engine) -> None:
    branches = Branches(engine, alone(engine, engine.encode(PROMPT)))
    with pytest.raises(PromptTooLong, match="does not fit"):
        branches.extend([[1] * engine.local.context])


def test_beginnings_that_are_not_read_on_from_weigh_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = ReadingSpeaker(ChatLlama(engine=engine, adapter="red"), Decoding("reading"))
    branches = Branches(engine, alone(engine, engine.encode(PROMPT)))
    starts = Spans(engine.encode, [PROMPT]).starts(40)
    monkeypatch.setattr(reading, "FAINT", 1e-300)
    (every,) = speaker._copied(branches, starts)
    likeliest = max(score for score, _ in every)
    for hopeful, faint in ((0.999, 0.5), (0.5, 0.1), (0.02, 1e-4)):
        monkeypatch.setattr(reading, "HOPEFUL", hopeful)
        monkeypatch.setattr(reading, "FAINT", faint)
        found = {str(text): score for score, text in speaker._copied(branches, starts)[0]}
        for score, text in every:
            if score > likeliest + torch.tensor(faint).log().item():
                assert found[str(text)] == pytest.approx(score, abs=1e-4)


def test_values_that_begin_alike_share_how_likely_their_beginning_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the room for the guest of the hotel: the room is the best, Hotel South Hotel or Hotel North"
    speaker = ReadingSpeaker(ChatLlama(engine=engine, adapter="red"), Decoding("reading"))
    branches, spans = Branches(engine, alone(engine, engine.encode(text))), Spans(engine.encode, [text])
    monkeypatch.setattr(reading, "FAINT", 1e-300)
    monkeypatch.setattr(reading, "STARTS", 1000)
    (found,) = speaker._copied(branches, spans.starts(100))
    firsts = {start.ids[0] for start in spans.starts(100)}
    assert len(firsts) < len(spans.starts(100))
    together = math.fsum(math.exp(score) for score, _ in found)
    assert together == pytest.approx(
        math.fsum(map(math.exp, engine.likelihoods(branches.rows[0], sorted(firsts)))), rel=1e-3
    )
