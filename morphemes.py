"""Kiwi, the analyser of Korean, loaded once in a process: the documents and the generator both take words apart.

Its model (105 MB) comes with its package, so nothing is fetched. The first call takes half a second.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def kiwi() -> Any:
    """The analyser; safe to call from several threads."""
    from kiwipiepy import Kiwi

    # Without its dictionary of compound names it loads in half of the time and finds almost as much (see
    # docs/log/search.md): a name that is cut into its words is cut alike in the passage and in the question.
    return Kiwi(num_workers=1, load_multi_dict=False)


__all__ = ["kiwi"]
