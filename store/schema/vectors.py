"""The tables of vectors, ``vectors_1``, ``vectors_2``, …, one for each model; ``store_meta`` names the one in use.

A row stands for a current passage in a language that the model knows. Passages themselves are never rewritten when
vectors come or go, so a second model's table can be filled and indexed beside the first
(:mod:`store.ingesting.reembedding`).
Whoever still has the model of a table that was replaced is told so at the next statement.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from state import Conflict, UserError
from store.database import Connection
from store.models.embedding import Embedder

LOCK = 4_701_310_023  # any fixed number: the advisory lock of whoever makes or changes the tables of vectors
HNSW = "WITH (m = 16, ef_construction = 64)"
BLOCK_BYTES = 2**20
BUILD_MEMORY = (2**26, 2**31 - 2**20)  # bytes, at least and at most; PostgreSQL takes less than 2 GiB
NODE_BYTES = 1_000  # of a vector in the graph while it is built, beside the vector itself
KEYS = ("model", "revision", "dimension", "vectors")

Vector = npt.NDArray[np.float32]


class Model(NamedTuple):
    """What is recorded of an embedding model."""

    name: str
    revision: str  # "" where it is not known
    dimension: int

    def __str__(self) -> str:
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{self.name} ({self.dimension} wide{revision})"

    def fits(self, other: Model) -> bool:
        """The same vectors come of both; an unknown revision fits every revision."""
        same = self.revision == other.revision or "" in (self.revision, other.revision)
        return same and (self.name, self.dimension) == (other.name, other.dimension)


def model_of(embedder: Embedder) -> Model:
    """The record of an embedder."""
    return Model(embedder.name, embedder.revision, embedder.dimension)


class VectorTable(NamedTuple):
    """The table in use. ``number`` 0: the store has no vectors yet."""

    number: int

    @property
    def identifier(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(f"vectors_{self.number}")


def bind(connection: Connection, embedder: Embedder | None) -> VectorTable:
    """The table for this embedder, made for the first one; None takes the table that is there.

    Raises:
        UserError: the store was embedded by another model.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        known = meta(connection)
        if embedder is None:
            return VectorTable(int(known.get("vectors", 0)))
        wanted = model_of(embedder)
        if "model" not in known:
            create(connection, VectorTable(1), wanted.dimension)
            index(connection, VectorTable(1))
            record(connection, wanted, VectorTable(1))
            return VectorTable(1)
        recorded = recorded_model(known)
        if not recorded.fits(wanted):
            raise UserError(
                f"the documents were embedded by {recorded}, the setting is {wanted}: "
                f"run `dojang documents reembed`, or set the old model again"
            )
        table = VectorTable(int(known.get("vectors", 0))) if "vectors" in known else _moved(connection, recorded)
        if wanted.revision and not recorded.revision:
            record(connection, wanted, table)
        return table


def meta(connection: Connection, prefix: str = "") -> dict[str, str]:
    """What is recorded of the model in use, or with ``prefix`` "next_" of the one that is being prepared."""
    rows = connection.execute(
        "SELECT key, value FROM store_meta WHERE key = ANY(%s)", ([prefix + key for key in KEYS],)
    ).fetchall()
    return {str(key).removeprefix(prefix): str(value) for key, value in rows}


def recorded_model(known: dict[str, str]) -> Model:
    """The model of such a record."""
    return Model(known["model"], known.get("revision", ""), int(known["dimension"]))


def record(connection: Connection, model: Model, table: VectorTable, prefix: str = "") -> None:
    """Write the record."""
    values = zip(KEYS, (model.name, model.revision, str(model.dimension), str(table.number)), strict=True)
    connection.cursor().executemany(
        "INSERT INTO store_meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(prefix + key, value) for key, value in values],
    )


def create(connection: Connection, table: VectorTable, dimension: int) -> None:
    """Make the table, without an index of its vectors."""
    connection.execute(
        sql.SQL("CREATE TABLE {} (passage bigint PRIMARY KEY, embedding halfvec({}) NOT NULL)").format(
            table.identifier, sql.Literal(int(dimension))
        )
    )


def index_name(table: VectorTable) -> str:
    """What the index of its vectors is called."""
    return f"vectors_{table.number}_hnsw"


def is_indexed(connection: Connection, table: VectorTable) -> bool:
    """Whether its vectors are indexed; without an index a search compares them all."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (index_name(table),)).fetchone()
    return bool(row and row[0])


def index(connection: Connection, table: VectorTable) -> None:
    """Index the vectors, if they are not yet. A graph that fits the memory is built some three times faster."""
    row = connection.execute(
        sql.SQL("SELECT count(*), (SELECT vector_dims(embedding) FROM {} LIMIT 1) FROM {}").format(
            table.identifier, table.identifier
        )
    ).fetchone()
    rows, dimension = (int(row[0]), int(row[1] or 0)) if row else (0, 0)
    memory_bytes = min(max(BUILD_MEMORY[0], rows * (2 * dimension + NODE_BYTES)), BUILD_MEMORY[1])
    settings = {"maintenance_work_mem": f"{memory_bytes // 1024}kB"}
    try:
        _index(connection, table, settings)
    except psycopg.errors.DiskFull:  # workers share their memory in /dev/shm, which containers make small
        _index(connection, table, settings | {"max_parallel_maintenance_workers": "0"})


def _index(connection: Connection, table: VectorTable, settings: Mapping[str, str]) -> None:
    with connection.transaction():
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        connection.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (embedding halfvec_cosine_ops) " + HNSW).format(
                sql.Identifier(index_name(table)), table.identifier
            )
        )


def write_vectors(
    connection: Connection, table: VectorTable, numbers: Sequence[int], vectors: Sequence[Vector | None]
) -> None:
    """COPY the vectors of passages just written, in their transaction; those without a vector are left out.

    Raises:
        Conflict: the store was embedded anew by another model since ``table`` was bound.
    """
    row = connection.execute("SELECT value FROM store_meta WHERE key = 'vectors'").fetchone()
    if (int(row[0]) if row else 0) != table.number:
        raise Conflict(REPLACED)
    kept = [(number, vector) for number, vector in zip(numbers, vectors, strict=True) if vector is not None]
    if kept:
        copy_vectors(connection, table, [number for number, _ in kept], np.stack([vector for _, vector in kept]))


def copy_vectors(connection: Connection, table: VectorTable, numbers: Sequence[int], vectors: Vector) -> None:
    """COPY ``(n, dimension)`` vectors. All rows are of one size, so that NumPy packs them at once.

    Formats: PostgreSQL's manual, "COPY", Binary Format; ``halfvec_recv`` of pgvector: count, 0, then half precision.
    """
    dimension = vectors.shape[1]
    layout = [("fields", ">i2"), ("n", ">i4"), ("passage", ">i8"), ("size", ">i4"), ("dim", ">i2"), ("zero", ">i2")]
    rows = np.zeros(len(numbers), dtype=np.dtype([*layout, ("values", ">f2", (dimension,))]))
    rows["fields"], rows["n"], rows["passage"] = 2, 8, numbers
    rows["size"], rows["dim"], rows["values"] = 4 + 2 * dimension, dimension, vectors
    statement = sql.SQL("COPY {} (passage, embedding) FROM STDIN (FORMAT BINARY)").format(table.identifier)
    with connection.cursor().copy(statement) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        step = max(1, BLOCK_BYTES // rows.dtype.itemsize)
        for start in range(0, len(rows), step):
            copy.write(rows[start : start + step].tobytes())
        copy.write(b"\xff\xff")


def remove_vector(connection: Connection, table: VectorTable, passage: int) -> None:
    """Take the vector of a passage that is no longer current out."""
    if table.number:
        connection.execute(sql.SQL("DELETE FROM {} WHERE passage = %s").format(table.identifier), (passage,))


REPLACED = (
    "the documents were embedded anew by another model meanwhile: set DOJANG_EMBEDDING to that model and start again"
)


@contextlib.contextmanager
def fenced() -> Iterator[None]:
    """Turns "the table of vectors is gone" into what happened: somebody switched to another model."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        if "vectors_" in str(error):
            raise Conflict(REPLACED) from None
        raise


def _moved(connection: Connection, model: Model) -> VectorTable:
    """Vectors that stand in a column of ``passages``, as they did at first, become the first table."""
    table = VectorTable(1)
    create(connection, table, model.dimension)
    columns: Any = connection.execute(
        "SELECT 1 FROM information_schema.columns WHERE table_name = 'passages' AND column_name = 'embedding' "
        "AND table_schema = current_schema()"
    ).fetchone()
    if columns is not None:
        connection.execute(
            sql.SQL(
                "INSERT INTO {} SELECT seq, embedding FROM passages WHERE current AND embedding IS NOT NULL"
            ).format(table.identifier)
        )
        connection.execute("ALTER TABLE passages DROP COLUMN embedding")
    index(connection, table)
    record(connection, model, table)
    return table
