"""The main job, played with the sample hotel: ask, pause, end the process, decide in a new one, act once.

Every act is a process of the real command line; this one only calls them in order, reads ids from what they print,
and at the end looks where the outcome must be: in the bookings table, the ledger and the session's folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from babel.dates import format_date

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation
from dojang.home import check_home
from dojang.parts import Parts
from state import Language, UserError

if TYPE_CHECKING:
    from psycopg import Connection

    from dojang.settings import Settings

QUESTIONS: Final = ("When is breakfast served?", "와이파이 이름이 무엇인가요?")
"""One in each language, both answered by the sample documents."""

GUESTS: Final[dict[Language, str]] = {"en": "Emma Lee", "ko": "김하나"}
NIGHTS: Final = 2
REVIEW = re.compile(r"\brv_[0-9a-f]{16}\b")


@dataclass(frozen=True)
class Act:
    """One process: the words after ``dojang``, its exit code and its output (None where it went to the terminal)."""

    words: list[str]
    code: int
    out: str | None
    seconds: float


class Play:
    """The whole play.

    Args:
        call: the invocation of ``dojang demo``.
        decide: ``approve``, ``reject`` or ``edit name=value …``; None asks the person at the terminal, and approves
            where there is none.
        command: how a process of the command line is started.
    """

    def __init__(
        self,
        call: Invocation,
        decide: str | None = None,
        *,
        command: Sequence[str] = (sys.executable, "-m", "dojang"),
    ) -> None:
        self.call = call
        self.terminal = call.terminal
        self.settings: Settings = call.settings
        self.own_home = call.home is None
        self.home = self.settings.home / "demo" if self.own_home else self.settings.home
        self.decision = read_decision_words(decide) if decide else None
        self.command = tuple(command)
        self.acts: list[Act] = []

    def perform(self) -> int:
        """Play it to the end. DONE, PAUSED when the person put the decision off, PROBLEM when an act went wrong."""
        _ = self.terminal.gettext
        began = time.monotonic()
        if not self.own_home:
            self.call.only_files()  # the play ends in the folder that is the session
        check_home(self.settings.home)
        check_home(self.home)
        self._scene(_("1. Read the sample hotel's documents in, and make its tables"))
        self._act(["ingest", "--sample"])
        self._make_room()
        self._scene(_("2. Ask in English and in Korean; each answer names the characters it comes from"))
        self._act(["chat"], lines=QUESTIONS)
        self._scene(_("3. Ask for something that changes the world: the run pauses and its process ends"))
        asked = self._act(["ask", self.request()], expect=Exit.PAUSED, capture=True)
        review = self._review_of(asked)
        self._scene(_("4. A new process: what waits, what exactly would run, and the decision"))
        self._act(["inbox"])
        decided = self._decide(review)
        if decided.code == Exit.PAUSED:
            self.terminal.note(_("The review stays open: `dojang --home {home} inbox`").format(home=self.home))
            return Exit.PAUSED
        self._scene(_("5. What came of it"))
        self._epilogue(review)
        self.terminal.note(_("played in {seconds:.1f} s").format(seconds=time.monotonic() - began))
        return Exit.DONE

    # -- the request ----------------------------------------------------------------------------------------------

    def dates(self) -> tuple[date, date]:
        """The stay: 3 December while that lies ahead, else two weeks from today."""
        today = self.settings.today or date.today()
        first = date(today.year, 12, 3)
        if first <= today + timedelta(days=1):
            first = today + timedelta(days=14)
        return first, first + timedelta(days=NIGHTS)

    def request(self) -> str:
        """The request that needs a tool, in the language of the play."""
        first, last = self.dates()
        if self.terminal.language == "ko":
            days = f"{_day(first, 'ko')}부터 {_day(last, 'ko')}까지"
            return f"남산스테이 디럭스룸을 {days} {GUESTS['ko']} 이름으로 2명 예약해 주세요"
        return (
            f"Please book a deluxe room at Namsan Stay for {GUESTS['en']} "
            f"from {_day(first, 'en')} to {_day(last, 'en')} for 2 guests"
        )

    def _make_room(self) -> None:
        """The demo's own hotel has six such rooms: earlier plays' bookings make way, so that it can be repeated."""
        if not self.own_home or self.settings.database_url is not None:
            return
        with self._database() as connection:
            connection.execute(
                "update bookings set cancelled_at = now(), cancel_reason = 'demo' "
                "where guest = any(%s) and check_in = %s and cancelled_at is null and created_at < now()",
                (list(GUESTS.values()), self.dates()[0]),
            )

    # -- acts -----------------------------------------------------------------------------------------------------

    def _scene(self, title: str) -> None:
        self.terminal.line()
        self.terminal.line(title, style="bold magenta")

    def _act(
        self, words: list[str], *, lines: Sequence[str] = (), expect: int | None = Exit.DONE, capture: bool = False
    ) -> Act:
        """Run one process, ``lines`` on its stdin. With ``capture`` or ``--json`` its output is shown when it ended."""
        _ = self.terminal.gettext
        kept = capture or self.terminal.as_json
        self.terminal.line(f"$ dojang {' '.join(_quoted(word) for word in words)}", style="bold")
        self.terminal.out.file.flush()
        began = time.monotonic()
        options = ["--home", str(self.home), "--lang", self.terminal.language, "--user", self.settings.user]
        options += ["--json"] if self.terminal.as_json else []
        pid, code, out = self._spawned([*options, *words], kept, lines)
        act = Act(words, code, out, round(time.monotonic() - began, 2))
        self.acts.append(act)
        if out is not None and not self.terminal.as_json:
            self.terminal.line(out.rstrip("\n"))
        ended = _("process {pid} ended with code {code} after {seconds} s")
        self.terminal.note(f"({ended.format(pid=pid, code=act.code, seconds=act.seconds)})")
        if expect is not None and act.code != expect:
            raise DemoStopped(act, expect)
        return act

    def _spawned(self, words: list[str], kept: bool, lines: Sequence[str]) -> tuple[int, int, str | None]:
        """(process id, exit code, output or None) of one process of the command line."""
        process = subprocess.Popen(
            [*self.command, *words],
            stdin=subprocess.PIPE if lines else None,
            stdout=subprocess.PIPE if kept else None,
            encoding="utf-8",
            env={**os.environ, "DOJANG_SESSIONS": "files"},
        )
        try:
            out, _err = process.communicate("".join(f"{line}\n" for line in lines) if lines else None)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        return process.pid, process.returncode, out

    def _review_of(self, asked: Act) -> str:
        found = REVIEW.search(asked.out or "")
        if found is None:
            raise DemoStopped(asked, Exit.PAUSED)
        return found[0]

    def _decide(self, review: str) -> Act:
        """By the person at the terminal, or as told."""
        if self.decision is None and self.terminal.interactive and not self.terminal.as_json:
            return self._act(["show", review, "--decide"], expect=None)
        self._act(["show", review])
        kind, *changes = self.decision or ["approve"]
        words = [kind, review]
        if kind == "reject":
            words += ["--reason", self.terminal.gettext("the guest called off")]
        for change in changes:
            words += ["--set", change]
        return self._act(words)

    # -- the end --------------------------------------------------------------------------------------------------

    def _epilogue(self, review: str) -> None:
        from dojang.workspace import Workspace

        _ = self.terminal.gettext
        with Workspace(self._play_settings()) as workspace:
            card = workspace.show(review)
            thread = card.review["thread_id"]
            run = workspace.thread(thread)
            folder = workspace.folder(thread)
            ledger = workspace.parts.ledger.entries(thread)
        self._act(["history", thread])
        done = [outcome for outcome in run.outcomes if outcome["status"] == "done"]
        row = self._row(done[0]["result"]["booking_id"]) if done else None
        self._tell_row(row)
        ends = [entry["k"] for entry in ledger]
        self.terminal.line()
        self.terminal.line(
            _("The ledger: {intents} intent(s), {outcomes} outcome(s)").format(
                intents=ends.count("intent"), outcomes=ends.count("outcome")
            ),
            style="bold",
        )
        files = sorted(path for path in folder.iterdir() if path.is_file())
        self.terminal.line(_("The session is this folder; copy it, and you have moved the session:"), style="bold")
        self.terminal.line(f"{folder}/")
        self.terminal.rows([[f"  {path.name}", f"{path.stat().st_size:,}"] for path in files])
        if self.terminal.as_json:
            self._tell_document(thread, row, folder, files, ledger)

    def _row(self, booking: str) -> dict[str, Any]:
        from psycopg.rows import dict_row

        with self._database() as connection, connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(
                "select b.id, h.name as hotel, b.room_type, b.guest, b.check_in, b.check_out, b.guests, b.total_krw, "
                "b.created_at from bookings b join hotels h on h.id = b.hotel_id where b.id = %s",
                (booking,),
            ).fetchone()
        if found is None:
            raise UserError(f"the tool says it made booking {booking}, but the table has no such row")
        return {name: value if isinstance(value, int) else str(value) for name, value in found.items()}

    def _tell_row(self, row: dict[str, Any] | None) -> None:
        _ = self.terminal.gettext
        self.terminal.line()
        if row is None:
            self.terminal.line(_("No booking was made; the table has no row for it."), style="bold")
            return
        self.terminal.line(_("The row in the bookings table, read with SQL:"), style="bold")
        rows = [(name, str(value)) for name, value in row.items()]
        told = [
            (name, self.terminal.moment(text, seconds=True) if name == "created_at" else text) for name, text in rows
        ]
        self.terminal.rows([[f"  {name}", text] for name, text in told])

    def _tell_document(
        self, thread: str, row: dict[str, Any] | None, folder: Path, files: list[Path], ledger: list[dict[str, Any]]
    ) -> None:
        self.terminal.document(
            {
                "acts": [
                    {
                        "command": ["dojang", *act.words],
                        "exit_code": act.code,
                        "seconds": act.seconds,
                        "result": json.loads(act.out) if act.out else None,
                    }
                    for act in self.acts
                ],
                "thread_id": thread,
                "booking": row,
                "ledger": ledger,
                "folder": str(folder),
                "files": [path.name for path in files],
            }
        )

    def _play_settings(self) -> Settings:
        return self.settings.model_copy(update={"home": self.home, "sessions": "files"})

    @contextmanager
    def _database(self) -> Iterator[Connection[Any]]:
        """A connection to the play's database; the embedded server is held up while it is open."""
        from store.database import connect

        parts = Parts(self._play_settings())
        try:
            with closing(connect(parts.dsn, autocommit=True)) as connection:
                yield connection
        finally:
            parts.close()


class DemoStopped(UserError):
    """An act of the play ended otherwise than it should; ``act`` says which."""

    def __init__(self, act: Act, expected: int) -> None:
        super().__init__(
            f"the demo stopped: `dojang {act.words[0]}` ended with code {act.code}, not {int(expected)}; "
            f"see what it said above, and `dojang doctor`"
        )
        self.act = act


def read_decision_words(text: str) -> list[str]:
    """``approve``, ``reject`` or ``edit name=value …`` as [type, change, …]; values may be quoted as in a shell.

    Raises:
        UserError: anything else.
    """
    import shlex

    wrong = UserError(f'--decide {text!r} is not approve, reject or "edit name=value …", for example "edit guests=3"')
    try:
        words = shlex.split(text)
    except ValueError:
        raise wrong from None
    edits = len(words) > 1 and all("=" in change for change in words[1:])
    if words in (["approve"], ["reject"]) or (words[:1] == ["edit"] and edits):
        return words
    raise wrong


def _day(day: date, language: Language) -> str:
    return str(format_date(day, "MMMM d" if language == "en" else "M월 d일", locale=language))


def _quoted(word: str) -> str:
    return f'"{word}"' if re.search(r"[\s?]", word) else word
