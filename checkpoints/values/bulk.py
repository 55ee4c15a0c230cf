"""A pause of the cyclic garbage collector while thousands of values are made, none of which can be garbage yet.

Each collection that the new objects trigger walks the heap for nothing: it made reading 1,000 messages three times
slower. The pause lasts milliseconds, nests, and is shared by threads.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_mutex = threading.Lock()
_pauses = 0
_was_on = False


@contextmanager
def bulk() -> Iterator[None]:
    """No garbage collection inside; afterwards as it was."""
    global _pauses, _was_on
    with _mutex:
        if _pauses == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _mutex:
            _pauses -= 1
            if _pauses == 0 and _was_on:
                gc.enable()
