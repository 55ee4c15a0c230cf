"""Makes text that a model, a tool, a document or a user wrote safe to look at. HTML escaping is the template's part.

What cannot be seen must not steer the eye: control characters are dropped, characters that reorder or hide text are
shown by their code. Hangul, combining marks and the joiners that scripts and emoji need stay as they are.
"""

from __future__ import annotations

import json
from typing import Any, Final

_SHOWN: Final = (
    *range(0x202A, 0x202F),  # bidirectional embeddings and overrides
    *range(0x2066, 0x206A),  # bidirectional isolates
    0x200E,
    0x200F,
    0x061C,  # directional marks
    0x200B,
    0x2060,
    0xFEFF,
    0x00AD,  # zero-width and soft hyphen
    0x180E,
    *range(0x206A, 0x2070),
    *range(0xE0000, 0xE0080),  # tag characters: invisible ASCII
)
_DROPPED: Final = (*range(0x00, 0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))
_TABLE: Final[dict[int, str | None]] = {
    **{code: f"⟨U+{code:04X}⟩" for code in _SHOWN},
    **dict.fromkeys(_DROPPED),
    0x2028: "\n",
    0x2029: "\n",
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # a lone surrogate cannot be sent as UTF-8
}


def clean(text: str) -> str:
    """``text`` without control characters (tab and newline stay) and with hidden characters made visible."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE)


def clean_tree(value: Any) -> Any:
    """``clean`` for every string in a JSON value, keys included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): clean_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_tree(item) for item in value]
    return value


def pretty_json(value: Any) -> str:
    """Indented JSON for the eye: Hangul as it is, control characters as JSON escapes, hidden ones by their code."""
    return clean(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, default=str))
