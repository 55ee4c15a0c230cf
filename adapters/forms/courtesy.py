"""Thanks at the end of a request: they say nothing of it, and are not read.

"정말 고맙습니다, 덕분에 살았어요" is how a request ends, "덕분" no reason. Only Korean ones are known: it is there that
they are sentences, with nouns of their own.
"""

from __future__ import annotations

import re
from typing import Final

_THANKS: Final = re.compile(
    r"(?<=[요다까죠.?!~])\s+(?:[가-힣]{1,6}\s+){0,4}"
    r"(?:고맙(?:습니다|네요|고요)|고마(?:워요|웠어요|웠습니다)|감사(?:합니다|해요|드려요|드립니다|했습니다))"
    r"(?:[,.~!]*\s[^:\d\"'“‘「『]{0,24}[요다])?[.!~\s]*$"
)
_TOLD: Final = re.compile(r":\s|[\"'“‘「『]")
"""Words for somebody else may begin here: their thanks are a part of them."""


def unthanked(text: str) -> str:
    """A request without the thanks at its end; as it is where it is thanks only, or tells what to tell.

    A name after them stays ("감사합니다, 김민수 드림"), and so does "보내 주시면 감사하겠습니다", which is a wish.
    """
    found = None if _TOLD.search(text) else _THANKS.search(text)
    return text[: found.start()] if found else text


__all__ = ["unthanked"]
