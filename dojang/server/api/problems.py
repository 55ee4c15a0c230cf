"""What can be wrong with a request, as its answers say it."""

from __future__ import annotations

from typing import Any, Final

from dojang.server.models import Problem
from state import UserError

Responses = dict[int | str, dict[str, Any]]


class Unknown(UserError):
    """There is no such thing; answered with 404."""


class TooLarge(UserError):
    """More than may be sent; answered with 413."""


def problems(**said: str) -> Responses:
    """Answers by status, like ``s404="there is no such id"``."""
    return {int(status[1:]): {"model": Problem, "description": text} for status, text in said.items()}


BAD: Final = problems(s400="something is wrong with the request", s422="the request does not fit its schema")
NO_ID: Final = problems(s404="there is no such id")
DECIDING: Final = {
    **NO_ID,
    **problems(
        s400="the decision does not fit its review; nothing was recorded",
        s409="decided already, or changed since you looked",
    ),
}
