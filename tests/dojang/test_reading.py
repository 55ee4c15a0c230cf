"""One review, two readers: each sees summary and reasons in their own language, and the record stays what it is."""

from __future__ import annotations

import pytest

from dojang.reading import reason_as_read
from state import Reason
from tests.dojang.conftest import Shell

ENGLISH = "A booking is checked by a person before it is made."
KOREAN = "예약은 사람이 확인한 뒤에 합니다."


@pytest.mark.parametrize("request_", ["please book it", "예약해 주세요"])
def test_commands_show_a_review_in_the_readers_language(shell: Shell, request_: str) -> None:
    review = shell("ask", request_, "--json").json["reviews"][0]
    english, korean = (shell("--lang", language, "show", review["id"]).out for language in ("en", "ko"))
    assert ENGLISH in english
    assert "Book " in english
    assert KOREAN in korean
    assert "예약합니다." in korean
    assert ENGLISH not in korean
    assert "예약합니다." in shell("--lang", "ko", "inbox").out
    assert "Book " in shell("--lang", "en", "inbox").out
    again = shell("--lang", "ko", "show", review["id"], "--json").json["review"]
    assert again == review, "JSON is the record, whoever reads it"
    assert again["why"][0]["texts"] == {"en": ENGLISH, "ko": KOREAN}


def test_an_old_reason_has_one_text() -> None:
    old = Reason(rule_id="house", text="Ask the manager.", severity="low", hard=False)
    assert reason_as_read(old, "ko") == old
    gate = Reason(rule_id="built-in:in_doubt", text="The documents do not say.", severity="low", hard=True)
    assert reason_as_read(gate, "ko")["text"] == "문서에서 답을 찾지 못했습니다."
