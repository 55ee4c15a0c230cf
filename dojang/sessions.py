"""Where the sessions of a workspace lie, as its settings say: files of its home, or a database (ADR 37)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from dojang.settings import BadSetting, Settings
from state import UserError

if TYPE_CHECKING:
    from checkpoints import FileSaver
    from checkpoints.audit.trail import AuditLog
    from checkpoints.backend import Backend
    from checkpoints.files.crypto import KeyRing
    from checkpoints.postgres.database import Database
    from checkpoints.postgres.locks import RunLocks
    from checkpoints.postgres.saver import PgSaver
    from checkpoints.upkeep.home import Home
    from dojang.beside import Beside

OLDEST: Final = 14
"""The oldest PostgreSQL that sessions may lie in."""
CONNECTIONS: Final = 32
"""Connections of one process for what is short; runs and listeners have their own."""


@dataclass(frozen=True)
class Sessions:
    """Where the records are; ``database`` and ``locks`` (of this process's runs) are None: as files."""

    backend: Backend
    database: Database | None = None
    locks: RunLocks | None = None
    _closes: list[Callable[[], None]] = field(default_factory=list)

    @cached_property
    def beside(self) -> Beside | None:
        """What a home keeps beside them, in the same database; None where they are files."""
        from dojang.beside import Beside

        return None if self.database is None else Beside(self.database)

    def close(self) -> None:
        """Close the connections."""
        for close in self._closes:
            close()


def in_postgres(settings: Settings) -> bool:
    """Whether the sessions lie in the database.

    Raises:
        UserError: the settings contradict each other, or nobody has said what is to become of the home's sessions.
    """
    wanted, named = settings.sessions, settings.database_url is not None
    if wanted == "files" or (wanted is None and (not named or settings.session_keys is not None)):
        return False
    if not named:
        raise BadSetting(
            "setting DOJANG_SESSIONS: postgres needs a database that other machines reach, too; name it in "
            "DOJANG_DATABASE_URL"
        )
    if settings.session_keys is not None:
        raise UserError(
            "sessions in PostgreSQL are not sealed with session keys: unset DOJANG_SESSION_KEYS and encrypt the "
            "database's disks, or keep sealed sessions as files with DOJANG_SESSIONS=files"
        )
    if wanted is None and has_files(settings):
        raise UserError(
            f"{settings.home} has sessions as files, and DOJANG_DATABASE_URL names a database: set "
            "DOJANG_SESSIONS=files to keep them as they are, or take them into the database with "
            "`dojang workspace move`"
        )
    return True


def has_files(settings: Settings) -> bool:
    """Whether the home has sessions, or an audit chain, as files."""
    from checkpoints.files.folders import ThreadFolders

    return (settings.home / "audit.jsonl").exists() or bool(ThreadFolders(settings.threads).names())


def any_sessions(settings: Settings) -> bool:
    """Whether there may be some; to be asked before anything is opened, or made, for them."""
    return in_postgres(settings) or settings.threads.is_dir()


def only_files(settings: Settings) -> None:
    """Raise OnlyAsFiles where the sessions lie in the database."""
    if in_postgres(settings):
        from checkpoints.postgres.backend import OnlyAsFiles

        raise OnlyAsFiles


def open_sessions(settings: Settings, *, moving: bool = False) -> Sessions:
    """The records of a workspace, to be closed; the tables of a database are made or brought up to date.

    ``moving``: they are opened to be moved from or to there.

    Raises:
        Conflict: not all of them have come from where they are moved from.
        UserError: see :func:`in_postgres`; or the database is too old, or refuses the login.
        PassingFault: it does not answer.
    """
    from checkpoints.upkeep.relocating import check_not_moving

    if not in_postgres(settings):
        from checkpoints.files.backend import FileBackend

        found = Sessions(FileBackend(settings.threads, keys=load_session_keys(settings), home=settings.home))
        if not moving:
            check_not_moving(found.backend)
        return found
    from checkpoints.postgres.backend import PostgresBackend
    from checkpoints.postgres.database import Database, configure
    from checkpoints.postgres.locks import RunLocks
    from store.database import Connection, Connections, connect

    assert settings.database_url is not None
    dsn = watchful(settings.database_url.get_secret_value())

    def made(db: Connection) -> None:
        if db.info.server_version < OLDEST * 10_000:
            raise UserError(
                f"the database is PostgreSQL {db.info.server_version // 10_000}, and sessions need {OLDEST} or later: "
                "update it, or keep sessions as files with DOJANG_SESSIONS=files"
            )
        configure(db)

    def own() -> Connection:
        db = connect(dsn, autocommit=True)
        try:
            made(db)
        except BaseException:
            db.close()
            raise
        return db

    pool = Connections(dsn, made, limit=CONNECTIONS)
    database = Database(pool, own)
    try:
        database.setup()
    except BaseException:
        pool.close()
        raise
    backend, locks = PostgresBackend(database), RunLocks(database)
    opened = Sessions(backend, database, locks, [locks.close, backend.close, pool.close])
    try:
        if not moving:
            check_not_moving(backend)
    except BaseException:
        opened.close()
        raise
    return opened


def watchful(dsn: str) -> str:
    """The address with what notices a server that is cut off; where it cannot be read, ``connect`` says so."""
    from psycopg import Error
    from psycopg.conninfo import make_conninfo

    from checkpoints.postgres.database import CLIENT

    try:
        return make_conninfo(dsn, **CLIENT)
    except Error:
        return dsn


def load_session_keys(settings: Settings) -> KeyRing | None:
    """The key ring that the settings name; BadKeyFile where it cannot be used."""
    if settings.session_keys is None:
        return None
    from checkpoints.files.crypto import KeyRing

    passphrase = settings.session_passphrase
    return KeyRing.load(settings.session_keys, passphrase=passphrase.get_secret_value() if passphrase else None)


def saver_of(settings: Settings, sessions: Sessions) -> FileSaver | PgSaver:
    """Where the states of sessions are."""
    if sessions.database is not None and sessions.locks is not None:
        from checkpoints.postgres.saver import PgSaver

        return PgSaver(sessions.database, sessions.locks)
    from checkpoints import FileSaver

    return FileSaver(settings.threads, keys=sessions.backend.folders.keys)


def home_of(settings: Settings, sessions: Sessions) -> Home:
    """What upkeep works on, where nothing else of a workspace is opened."""
    from checkpoints.files.locks import run_lock
    from checkpoints.upkeep.home import Home

    lock = partial(run_lock, settings.threads) if sessions.locks is None else sessions.locks.run_lock
    return Home(sessions.backend, saver_of(settings, sessions), lock)


def audit_of(settings: Settings, sessions: Sessions) -> AuditLog:
    """The chains of a workspace, where nothing else of it is opened."""
    from checkpoints.audit.trail import AuditLog

    return AuditLog(sessions.backend, settings.home / "keys")
