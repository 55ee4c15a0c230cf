"""The notebook API: a workspace whose runs, reviews, threads and comparisons show themselves in a notebook.

``import dojang; book = dojang.open()`` (docs/notebooks.md). It adds nothing that can be done, only how it is shown:
every call goes through :class:`dojang.workspace.Workspace`, a press of a card's button, too.

::

    book.py       the workspace with its language and templates: ask, inbox, compare, draw
    reader.py     a workspace and the language in which it is shown
    threads.py    a thread, a run of it, and a review that can be decided from code
    shown.py      how a thing shows itself: text, HTML, and the markup of both
    cards.py      what a card shows of a review, from the console's own typed records
    bar.py        what a press does, and what the card's live part then shows; knows no widget
    widget.py     the live part in a browser (anywidget); None where there is no kernel or no anywidget
    tables.py     history, inbox, comparison
    drawing.py    the graph as SVG
"""

from dojang.notebook.book import Notebook, open, sample
from dojang.notebook.threads import Review, Run, Thread

__all__ = ["Notebook", "Review", "Run", "Thread", "open", "sample"]
