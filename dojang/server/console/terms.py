"""Words of records that commands show, too, from their catalogue. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dojang.language import catalogue
from dojang.server.wording import Say


def term(say: Say, table: Mapping[Any, str], key: str) -> str:
    """A word of :mod:`dojang.glossary` or :mod:`dojang.gate_report`; one that the table lacks, as it is."""
    return catalogue("cli", say.language).gettext(table[key]) if key in table else key
