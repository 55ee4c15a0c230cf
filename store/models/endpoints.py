"""One POST to an HTTP endpoint of a model, tried again while it is worth it, with errors that say what to do.

Tried again: no answer, 408, 429 and 5xx, three times in all with growing pauses. The key never stands in a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from state import PassingFault, UserError

ATTEMPTS: Final = 3
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
BUSY: Final = (408, 429)

Read = TypeVar("Read")


class Endpoint:
    """An address with its key. ``kind`` is what messages call it: embedding, reranking."""

    def __init__(self, base_url: str, path: str, key: str, *, kind: str, timeout_s: float) -> None:
        self.url = base_url.rstrip("/") + path
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._kind = kind
        self._timeout_s = timeout_s

    def post(self, body: dict[str, Any], read: Callable[[Any], Read]) -> Read:
        """Send ``body`` as JSON; what ``read`` makes of the JSON that comes back.

        Raises:
            UserError: the endpoint refuses: address, key or model are wrong.
            PassingFault: it does not answer, is busy, fails, or answers something that cannot be read.
        """
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S, jitter=FIRST_PAUSE_S),
            retry=retry_if_exception_type(PassingFault),
            reraise=True,
        )
        answer: httpx.Response = retrying(self._once, body)
        try:
            return read(answer.json())
        except (ValueError, KeyError, TypeError, IndexError):
            raise PassingFault(
                f"the {self._kind} endpoint {self.url} answered what cannot be read: check that it speaks this protocol"
            ) from None

    def _once(self, body: dict[str, Any]) -> httpx.Response:
        try:
            answer = httpx.post(self.url, json=body, headers=self._headers, timeout=self._timeout_s)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise UserError(f"the {self._kind} endpoint {self.url} is no http address: correct the setting") from None
        except httpx.HTTPError as error:
            raise PassingFault(
                f"the {self._kind} endpoint {self.url} does not answer ({type(error).__name__}): try again"
            ) from None
        code = answer.status_code
        if code >= 500 or code in BUSY:
            raise PassingFault(f"the {self._kind} endpoint {self.url} failed ({code}): try again later")
        if code >= 300:
            raise UserError(f"the {self._kind} endpoint {self.url} refused ({code}): check its address, key and model")
        return answer
