"""Reviews that a person has put off: not shown in their lists until then. A view of one person, no record of a review.

One small JSON file a person under ``DOJANG_HOME/snoozed/``, replaced as a whole; rows beside sessions in PostgreSQL.
Nothing that counts is in it: losing it shows reviews earlier.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from state import Review, UserError, person_of

if TYPE_CHECKING:
    from dojang.beside import Beside

MARGIN: Final = timedelta(minutes=15)
"""Nothing is put off to later than so long before it is due."""


class Snoozes:
    """The files in ``folder``; safe from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, person: str, now: datetime) -> dict[str, str]:
        """{review id: until when} of what this person has put off and is not back yet, soonest back first."""
        kept = {rid: until for rid, until in self._read(person).items() if datetime.fromisoformat(until) > now}
        return dict(sorted(kept.items(), key=lambda one: one[1]))

    def put_off(self, person: str, review: Review, until: datetime, now: datetime) -> datetime:
        """Put a review off; the time at which it is back, which is never too late for its deadline.

        Raises:
            UserError: it is due too soon to be put off.
        """
        back = min(until, datetime.fromisoformat(review["due_at"]) - MARGIN)
        if back <= now:
            raise UserError(f"review {review['id']} is due at {review['due_at']}: too soon to be put off; decide it")
        self._write(person, now, {review["id"]: back.isoformat()})
        return back

    def take_back(self, person: str, review_id: str, now: datetime) -> None:
        """Show a review again."""
        self._write(person, now, {}, without=review_id)

    def _path(self, person: str) -> Path:
        return self.folder / f"{key_of(person)}.json"

    def _read(self, person: str) -> dict[str, str]:
        try:
            found = json.loads(self._path(person).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, person: str, now: datetime, more: Mapping[str, str], *, without: str = "") -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(person)
        with FileLock(path.with_suffix(".lock")):
            kept = {rid: at for rid, at in {**self.of(person, now), **more}.items() if rid != without}
            fresh = path.with_suffix(f".{secrets.token_hex(4)}")
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(kept, file)
            os.replace(fresh, path)


class SharedSnoozes(Snoozes):
    """The same as rows, which all servers of one database have."""

    def __init__(self, beside: Beside) -> None:
        self.beside = beside

    def _read(self, person: str) -> dict[str, str]:
        with self.beside.reading() as db:
            query = "SELECT review_id, until FROM snoozes WHERE person = ?"
            return {str(review): str(until) for review, until in db.execute(query, (key_of(person),)).fetchall()}

    def _write(self, person: str, now: datetime, more: Mapping[str, str], *, without: str = "") -> None:
        key, kept = key_of(person), self.of(person, now)
        over = [review for review in self._read(person) if review not in kept or review == without]
        with self.beside.writing() as db:
            db.execute("DELETE FROM snoozes WHERE person = ? AND review_id = ANY(?)", (key, over))
            then = "ON CONFLICT (person, review_id) DO UPDATE SET until = excluded.until"
            db.executemany(
                f"INSERT INTO snoozes VALUES (?, ?, ?) {then}", [(key, review, until) for review, until in more.items()]
            )


def key_of(person: str) -> str:
    """Under what a person's are kept: no name of a file says whose it is."""
    return hashlib.sha256(person_of(person).encode()).hexdigest()[:32]
