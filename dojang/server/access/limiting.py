"""How often somebody may ask, and how often somebody may be wrong. Counted in this process; a restart forgives.

Moving windows of the library ``limits``: no burst at the edge of a minute.
"""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from state import PassingFault

WRONG: Final = parse("10/minute")
"""Tokens with the same visible part that an address may have wrong."""
WRONG_IN_ALL: Final = parse("100/minute")
"""Tokens of any kind that an address may have wrong: people behind one proxy share it."""


class TooMany(PassingFault):
    """Asked or failed too often; ``retry_after_s`` says when it makes sense again."""

    def __init__(self, text: str, retry_after_s: int) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Limiter:
    """Counts. Safe from many threads.

    Args:
        rate: how many requests a caller may make, like ``1200/minute``; "" for any number.
    """

    def __init__(self, rate: str) -> None:
        self.rate: RateLimitItem | None = parse(rate) if rate else None
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def ask(self, who: str) -> None:
        """Count one request of a person or, of somebody unknown, an address; raises TooMany."""
        if self.rate is not None and not self._windows.hit(self.rate, "ask", who):
            wait = self._wait(self.rate, "ask", who)
            raise TooMany(f"too many requests: at most {self.rate}; try again in {wait} s", wait)

    def check_address(self, address: str, prefix: str) -> None:
        """Raise TooMany where an address has been wrong too often to be heard now."""
        for item, key in ((WRONG, f"{address} {prefix}"), (WRONG_IN_ALL, address)):
            if not self._windows.test(item, "wrong", key):
                wait = self._wait(item, "wrong", key)
                raise TooMany(f"too many tokens from here were wrong; try again in {wait} s", wait)

    def failed(self, address: str, prefix: str) -> None:
        """Count a token that opened nothing."""
        self._windows.hit(WRONG, "wrong", f"{address} {prefix}")
        self._windows.hit(WRONG_IN_ALL, "wrong", address)

    def _wait(self, item: RateLimitItem, *key: str) -> int:
        return max(1, math.ceil(self._windows.get_window_stats(item, *key).reset_time - time.time()))
