"""CEL, the language of the conditions of rules, as its library has it, without that library's command line.

``import cel`` imports a prompt with history and colours, too (prompt_toolkit and pygments): a quarter of a second of
every start, for what nobody here types at. Drop this where common-expression-language (0.10.0 does) no longer imports
``cel.cli`` by itself.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

_PROMPT: Final = "cel.cli"
_nothing = ModuleType(_PROMPT)
sys.modules.setdefault(_PROMPT, _nothing)
try:
    import cel
finally:
    if sys.modules[_PROMPT] is _nothing:  # whoever wants it imports it
        del sys.modules[_PROMPT]

__all__ = ["cel"]
