"""The live part of a card in a browser: markup that Python makes, and presses that come back (docs/adr/0033).

Built on anywidget: one ES module of ours, no build step, the same in JupyterLab, Notebook, VS Code and Colab. Nothing
is decided in here: :class:`dojang.notebook.bar.Bar` does what a press says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dojang.notebook.shown import STATIC, sheet

if TYPE_CHECKING:
    from dojang.notebook.bar import Bar


def live_part(bar: Bar) -> Any | None:
    """The widget over a bar; None where anywidget is not installed, or no notebook's kernel runs this."""
    if not _in_a_kernel():
        return None
    try:
        made = _class()(bar)
    except ImportError:
        return None
    return made


def _in_a_kernel() -> bool:
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return hasattr(shell, "kernel")


@lru_cache
def _class() -> Any:
    """The widget's class, made when it is first needed: anywidget is an extra."""
    import anywidget
    import traitlets

    class LivePart(anywidget.AnyWidget):
        """Shows a bar and tells it of presses."""

        _esm = (STATIC / "card.js").read_text(encoding="utf-8")
        _css = str(sheet())
        shown = traitlets.Dict().tag(sync=True)

        def __init__(self, bar: Bar) -> None:
            super().__init__(shown=bar.shown())
            self.bar = bar
            self.on_msg(self._heard)

        def _heard(self, _widget: object, content: object, _buffers: object) -> None:
            self.bar.pressed(content)
            self.shown = self.bar.shown()

    return LivePart
