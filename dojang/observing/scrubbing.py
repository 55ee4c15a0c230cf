"""Takes secrets out of text: those of the settings by their value, others by their form."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Final
from urllib.parse import quote

HIDDEN: Final = "***"
SHORTEST: Final = 6
"""Characters of the shortest secret that is looked for by value: a shorter one stands in ordinary words, too."""
_NAMES: Final = (
    r"[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|apikey|authorization|session|credential|signature)"
)
_VALUE: Final = r"(?:b?\"[^\"]*\"|b?'[^']*'|[^\s\"'&,;)}\]]+)"
_FORMS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\b(dj_[0-9a-f]{8})_[A-Za-z0-9_-]{20,}"), r"\1_***"),
    (re.compile(r"(?i)\b((?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), r"\1\2***"),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@"), r"\1:***@"),
    # A name and what is said to be its value: in a query, a header, a DSN, JSON, a repr. Not `tokens: 12`.
    (re.compile(rf"(?i)\b({_NAMES}[\"']?\s*[=:]\s*)(?!bearer |basic ){_VALUE}"), r"\1***"),
    (re.compile(r"\b(sk|pk|lsv2|ghp|xox[abp])([-_])[A-Za-z0-9_-]{16,}"), r"\1\2***"),
)  # fmt: skip


class Scrubber:
    """Hides secrets in text that leaves the process.

    Args:
        values: what is secret, word by word; values shorter than ``SHORTEST`` are left out.
    """

    def __init__(self, values: Collection[str] = ()) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _written(value)}
        longest_first = sorted(forms, key=len, reverse=True)  # one secret may be the beginning of another
        self._values = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text with ``***`` for every secret."""
        if self._values is not None:
            text = self._values.sub(HIDDEN, text)
        for form, instead in _FORMS:
            text = form.sub(instead, text)
        return text


def _written(value: str) -> set[str]:
    """A secret as it stands in a message, in a URL, in JSON, in a repr."""
    return {value, quote(value), quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}
