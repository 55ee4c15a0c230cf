"""Thanks at the end of a request are no values, and nothing else is taken away."""

from __future__ import annotations

import pytest

from adapters.forms.courtesy import unthanked


@pytest.mark.parametrize(
    ("request_", "thanks"),
    [
        ("BK-9593 예약을 취소해 주세요.", " 정말 고맙습니다, 덕분에 편히 쉬었어요."),
        ("김민수 님 예약을 찾아 주세요", " 감사합니다!"),
        ("방 하나 부탁드려요.", " 언제나 잘 챙겨 주셔서 감사해요~"),
        ("취소되나요?", " 미리 감사드립니다."),
    ],
)
def test_thanks_at_the_end_are_left_out(request_: str, thanks: str) -> None:
    assert unthanked(request_ + thanks) == request_
    assert unthanked(request_) == request_


@pytest.mark.parametrize(
    "kept",
    [
        "감사합니다",
        "정말 고맙습니다, 덕분에 편히 쉬었어요.",
        "급해요. 이민수 님 앞으로 예약해 주시면 감사하겠습니다",
        "예약해 주세요. 감사합니다, 김민수 드림",
        "kim@mail.com으로 보내 주세요: 방이 준비됐어요. 감사합니다",
        "'어제 와 주셔서 기뻤어요. 감사합니다'라고 전해 주세요. 고맙습니다",
        "Book a room for Emma Lee. Thank you",
        "환불해 주세요. 감사합니다. 사유는 중복 결제 50,000원이에요",
    ],
)
def test_what_may_be_meant_stays(kept: str) -> None:
    assert unthanked(kept) == kept
