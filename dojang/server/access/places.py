"""Where tokens, persons and sessions of the console lie: a file of the home, or where the sessions of threads lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from dojang.server.transactions import Statements

if TYPE_CHECKING:
    from dojang.beside import Beside

ALONE: Final = 4_701_310_043
"""Any fixed number: the advisory lock of whoever writes, so that a name that nobody has is given once."""


class Place(Protocol):
    """Rows by the names of their columns. Safe from many threads and processes."""

    def there(self) -> bool:
        """Whether a token may ever have been made; waits for nothing."""
        ...

    def readable(self) -> bool:
        """Whether there are tables to read."""
        ...

    def reading(self) -> AbstractContextManager[Statements]:
        """Statements that only read; only where it is readable."""
        ...

    def writing(self) -> AbstractContextManager[Statements]:
        """One transaction, alone and durable, or nothing of it where the block raises."""
        ...


class SharedPlace:
    """Tables that all servers of one database have. A database that is away lets nobody in: PassingFault."""

    def __init__(self, beside: Beside) -> None:
        self.beside = beside

    def there(self) -> bool:
        """Always: it takes a look to know."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """What is committed now: a token that another server has revoked opens nothing here."""
        with self.beside.reading(named=True) as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction; what is noted in the audit chain within it is a part of it."""
        with self.beside.writing(ALONE, named=True) as db:
            yield db
