"""Backup, restore, and the move to another server, by pg_dump and pg_restore of the packaged PostgreSQL.

A backup is a folder: ``database.dump`` (pg_dump's custom format), and ``manifest.json`` with the rows and digests of
all tables, taken in the dump's own snapshot, and the dump's SHA-256. It appears whole or not at all. A restore is one
transaction: when it fails, what was there is there. All tables of the schema ``public`` go along, those of the tools
too: the database is taken to be Dojang's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from state import BrokenInvariant, PassingFault, UserError
from store.database import Connection, connect, describe
from store.postgres.account import clean_environment
from store.postgres.server import programs
from store.postgres.tables import Table, differences, measured, names_of
from store.schema.migrations import ensure_vector

FORMAT = 1
DUMP = "database.dump"
MANIFEST = "manifest.json"
OnTable = Callable[[str, int, int], None]
"""Called with what is being done to which table, how many are done, and how many there are."""


class Manifest(TypedDict):
    """What a backup says of itself."""

    format: int
    made_at: str  # ISO 8601, UTC
    server: str  # version of the PostgreSQL that was dumped
    dump_bytes: int
    dump_sha256: str
    tables: list[Table]


def backup(dsn: str, folder: Path, on_table: OnTable | None = None) -> Manifest:
    """Write a backup into ``folder``, which must not be there yet or be empty. It appears when it is complete."""
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already: name a new folder for the backup")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".part", dir=folder.parent))
    except OSError as error:
        raise UserError(f"no backup can be written to {folder}: {error.strerror}; name another folder") from None
    try:
        with _snapshot(dsn) as (connection, snapshot):
            names = names_of(connection)
            tables = measured(connection, names, _half(on_table, 0))
            version = connection.info.parameter_status("server_version") or ""
            _dump(dsn, part / DUMP, snapshot, _half(on_table, 1), len(names))
        manifest = Manifest(
            format=FORMAT,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            server=version.split()[0],
            dump_bytes=(part / DUMP).stat().st_size,
            dump_sha256=_sha256(part / DUMP),
            tables=tables,
        )
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        for file in (part / DUMP, part / MANIFEST, part):
            _fsync(file)
        part.rename(folder)
        _fsync(folder.parent)
    except OSError as error:
        raise PassingFault(f"the backup could not be written to {folder}: {error.strerror}; free some space") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a whole backup. UserError when it is none, or damaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known: Manifest = {key: manifest[key] for key in Manifest.__annotations__}  # type: ignore[assignment]
        sha256 = _sha256(folder / DUMP)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder} is no backup of a store: name a folder that `dojang store backup` made") from None
    if known["format"] > FORMAT:
        raise UserError(f"{folder} was made by a newer program (format {known['format']}): use that one to restore it")
    if sha256 != known["dump_sha256"]:
        raise UserError(f"{folder / DUMP} is damaged (its SHA-256 is another one): take another backup")
    return known


def restore(dsn: str, folder: Path, on_table: OnTable | None = None) -> Manifest:
    """Put a backup in place of all tables, in one transaction; then compare.

    Raises:
        UserError: no backup, a damaged one, or the server refuses; the old tables are untouched.
        BrokenInvariant: what came in is not what the backup says.
    """
    manifest = read_manifest(folder)
    with contextlib.closing(connect(dsn, autocommit=True)) as connection:
        ensure_vector(connection)
        with _alone(connection):
            _load(dsn, folder / DUMP, on_table, len(manifest["tables"]), drop=names_of(connection))
    _compare(dsn, manifest["tables"], on_table)
    return manifest


def move(dsn: str, target: str, on_table: OnTable | None = None) -> list[Table]:
    """Copy everything into the database ``target``, in one transaction there, and compare. The old one stays.

    Raises:
        UserError: the target has tables of the same names, lacks pgvector, or refuses.
        BrokenInvariant: what arrived differs; the target's tables are to be dropped.
    """
    with contextlib.closing(connect(target, autocommit=True)) as there:
        ensure_vector(there)
        taken = names_of(there)
    with tempfile.TemporaryDirectory(prefix="dojang-move-") as place, _snapshot(dsn) as (connection, snapshot):
        names = names_of(connection)
        clash = sorted(set(names) & set(taken))
        if clash:
            raise UserError(
                f"{describe(target)} has a table {clash[0]} already: name an empty database "
                f"(a move never overwrites), or restore a backup there"
            )
        tables = measured(connection, names, _half(on_table, 0))
        dump = Path(place) / DUMP
        _dump(dsn, dump, snapshot, _half(on_table, 1), len(names))
        _load(target, dump, on_table, len(names))
    _compare(target, tables, on_table)
    return tables


@contextlib.contextmanager
def _snapshot(dsn: str) -> Iterator[tuple[Connection, str]]:
    """A connection in a transaction that sees one instant, and the name under which pg_dump sees the same."""
    with contextlib.closing(connect(dsn)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield connection, str(row[0])
        connection.rollback()


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Send everybody else out of the database, whose transactions would hold the tables; they come back."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
    )
    yield


def _dump(dsn: str, file: Path, snapshot: str, on_table: OnTable | None, tables: int) -> None:
    command = [
        str(programs() / "pg_dump"), "--format=custom", "--compress=1", "--no-owner", "--no-privileges",
        "--schema=public", "--no-password", "--verbose", f"--snapshot={snapshot}", f"--file={file}",
        without_password(dsn),
    ]  # fmt: skip
    code, words = _run(command, _told("dumping contents of table", on_table, tables), dsn=dsn)
    if code != 0:
        raise _failed("pg_dump", dsn, words)


def _load(dsn: str, dump: Path, on_table: OnTable | None, tables: int, *, drop: Sequence[str] = ()) -> None:
    """pg_restore writes the SQL, one psql sends it: dropping what is there and putting the dump in are one transaction.

    Its COMMIT is sent by us, after pg_restore ended well: whoever dies before that leaves the old tables.
    """
    with tempfile.TemporaryDirectory(prefix="dojang-restore-") as place:
        listed = Path(place) / "list"
        _, contents = _run([str(programs() / "pg_restore"), "--list", str(dump)], None)
        kept = [line for line in contents if not (" SCHEMA - public" in line or " EXTENSION - " in line)]
        listed.write_text("\n".join(kept) + "\n", encoding="utf-8")
        writer = [
            str(programs() / "pg_restore"), "--no-owner", "--no-privileges", f"--use-list={listed}", "--verbose",
            "--file=-", str(dump),
        ]  # fmt: skip
        before = Path(place) / "before.sql"
        with contextlib.closing(connect(dsn, autocommit=True)) as connection:
            old = connection.info.server_version < 170000
            statements = ["BEGIN;", *(_drop(connection, name) for name in drop), *_drop_rest(connection, bool(drop))]
        before.write_text("\n".join(statements), encoding="utf-8")
        command = [
            str(programs() / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
            "--no-password", f"--dbname={without_password(dsn)}", f"--file={before}", "--file=-",
        ]  # fmt: skip
        code, words = _piped(writer, command, _told("processing data for table", on_table, tables), dsn=dsn, old=old)
    if code != 0:
        raise _failed("psql", dsn, words)


def _drop(connection: Connection, name: str) -> str:
    return sql.SQL("DROP TABLE IF EXISTS public.{} CASCADE;").format(sql.Identifier(name)).as_string(connection)


def _drop_rest(connection: Connection, wanted: bool) -> list[str]:
    """Functions and sequences of our own, without which the dump's would clash; those of extensions stay."""
    if not wanted:
        return []
    rows = connection.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname = 'public' AND NOT EXISTS "
        "(SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
    ).fetchall()
    sequences = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind = 'S' AND NOT EXISTS "
        "(SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))"
    ).fetchall()
    dropped = [f"DROP FUNCTION IF EXISTS {row[0]} CASCADE;" for row in rows]
    named = [sql.SQL("DROP SEQUENCE IF EXISTS public.{} CASCADE;").format(sql.Identifier(row[0])) for row in sequences]
    return dropped + [one.as_string(connection) for one in named]


def _compare(dsn: str, wanted: Sequence[Table], on_table: OnTable | None) -> None:
    with contextlib.closing(connect(dsn)) as connection:
        found = measured(
            connection, [table["name"] for table in wanted if table["name"] in names_of(connection)], on_table
        )
    wrong = differences(wanted, found)
    if wrong:
        raise BrokenInvariant(f"{describe(dsn)} does not hold what was copied: {'; '.join(wrong)}")


def _run(command: Sequence[str], on_line: Callable[[str], None] | None, *, dsn: str = "") -> tuple[int, list[str]]:
    """Exit code, and the lines of stdout and stderr."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=_environment(dsn), cwd="/",
    ) as process:  # fmt: skip
        lines = _lines(process.stdout, on_line)
    return process.returncode, lines


def _piped(
    writer: Sequence[str], reader: Sequence[str], on_line: Callable[[str], None] | None, *, dsn: str, old: bool
) -> tuple[int, list[str]]:
    """Exit code and words of ``writer | reader``, and COMMIT when the writer ended well."""
    environment = _environment(dsn)
    made = subprocess.Popen(
        writer, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd="/"
    )
    sent = subprocess.Popen(
        reader, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd="/"
    )
    words: list[str] = []
    told = threading.Thread(target=lambda: words.extend(_lines(made.stderr, on_line, decode=True)))
    heard: list[str] = []
    hearing = threading.Thread(target=lambda: heard.extend(_lines(sent.stderr, None, decode=True)))
    told.start()
    hearing.start()
    assert made.stdout is not None
    assert sent.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        head = True
        for line in made.stdout:
            if head and old and line.startswith(b"SET transaction_timeout"):
                continue  # a setting that servers before 17 do not know
            head = head and not line.startswith(b"COPY ")
            sent.stdin.write(line)
        if made.wait() == 0:
            _commit(sent.stdin)
        sent.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        sent.stdin.close()
    code = sent.wait()
    made.stdout.close()
    told.join()
    hearing.join()
    made.wait()
    for stream in (made.stderr, sent.stderr):
        if stream is not None:
            stream.close()
    return code or made.returncode, [*words, *heard]


def _commit(stream: Any) -> None:
    stream.write(b"COMMIT;\n")


def without_password(dsn: str) -> str:
    """The DSN as it may stand in a list of processes."""
    parts = conninfo_to_dict(dsn)
    parts.pop("password", None)
    return make_conninfo("", **parts)


def _environment(dsn: str) -> dict[str, str]:
    password = conninfo_to_dict(dsn).get("password") if dsn else None
    return clean_environment() | ({"PGPASSWORD": str(password)} if password else {})


def _lines(stream: Any, on_line: Callable[[str], None] | None, *, decode: bool = False) -> list[str]:
    lines = []
    for raw in stream or ():
        line = (raw.decode(errors="replace") if decode else raw).rstrip("\n")
        lines.append(line)
        if on_line is not None:
            on_line(line)
    return lines


def _told(sign: str, on_table: OnTable | None, tables: int) -> Callable[[str], None] | None:
    """Makes progress of the lines in which a program names the table that it comes to."""
    if on_table is None:
        return None
    done = 0

    def hear(line: str) -> None:
        nonlocal done
        if sign in line:
            done += 1
            on_table(line.partition(sign)[2].strip(' "').removeprefix("public."), min(done, tables), tables)

    return hear


def _half(on_table: OnTable | None, half: int) -> OnTable | None:
    if on_table is None:
        return None
    return lambda name, done, total: on_table(name, half * total + done, 2 * total)


def _failed(program: str, dsn: str, words: Sequence[str]) -> UserError | PassingFault:
    telling = [line for line in words if "ERROR" in line or "error:" in line or "FATAL" in line]
    said = (telling or list(words) or ["no message"])[0].strip()
    if "No space left" in said:
        return PassingFault(f"{program}: the disk is full ({said}); free some space and try again")
    if "server version mismatch" in " ".join(words):
        return UserError(
            f"{describe(dsn)} is newer than the packaged {program}: use the pg_dump of that server ({said})"
        )
    if "could not connect" in said or "connection to server" in said:
        return PassingFault(f"{program} lost {describe(dsn)} ({said}): try again; nothing was changed")
    return UserError(f"{program} on {describe(dsn)} failed, nothing was changed: {said}")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
