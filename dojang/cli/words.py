"""Words that only the commands show, each marked with ``N_`` for the catalogue and translated when shown.

The contract's own words, which pages show, too, stand in :mod:`dojang.vocabulary`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dojang.vocabulary import DOUBT, EFFECTS, FLAGS, KINDS, N_, SAID, SPEAKERS, STATUSES

__all__ = [
    "DOUBT", "EFFECTS", "FLAGS", "KINDS", "NODES", "N_", "SAID", "SEVERITIES", "SPEAKERS", "STATUSES", "TRUSTS",
    "word",
]  # fmt: skip


NODES: Final = {
    "intake": N_("request read"),
    "retrieve": N_("documents searched"),
    "generate": N_("model answered"),
    "comply": N_("rules asked"),
    "review": N_("decision taken in"),
    "act": N_("tool run"),
    "answer": N_("answer released"),
}
"""What each finished node of the graph means to somebody who waits."""
SEVERITIES: Final = {"low": N_("low"), "medium": N_("medium"), "high": N_("high")}

TRUSTS: Final = {"trusted": N_("trusted"), "untrusted": N_("untrusted")}


def word(gettext: Callable[[str], str], table: Mapping[Any, str], key: str) -> str:
    """The translated word for ``key``; the key itself where the table is older than it."""
    return gettext(table[key]) if key in table else key
