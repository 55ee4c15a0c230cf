"""SQL about all that a thread has in LangGraph's tables: its size, a copy of it, what may go, what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkpoints.errors import NeededHistory
from checkpoints.postgres.database import Connection

SIZES: Final = """
    SELECT 'checkpoints', count(*), coalesce(sum(pg_column_size(c)), 0) FROM checkpoints c WHERE thread_id = %(thread)s
    UNION ALL SELECT 'checkpoint_blobs', count(*), coalesce(sum(pg_column_size(b)), 0)
    FROM checkpoint_blobs b WHERE thread_id = %(thread)s
    UNION ALL SELECT 'checkpoint_writes', count(DISTINCT (checkpoint_ns, checkpoint_id, task_id)),
        coalesce(sum(pg_column_size(w)), 0) FROM checkpoint_writes w WHERE thread_id = %(thread)s
    UNION ALL SELECT kind, count(*), sum(pg_column_size(r)) FROM records r WHERE folder = %(folder)s GROUP BY kind
"""
_LED: Final = """
    WITH RECURSIVE led AS (
        SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints
        WHERE thread_id = %(source)s AND (%(upto)s = '' OR (checkpoint_ns = '' AND checkpoint_id = %(upto)s))
        UNION
        SELECT c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id FROM checkpoints c JOIN led
        ON c.checkpoint_ns = led.checkpoint_ns AND c.checkpoint_id = led.parent_checkpoint_id
        WHERE c.thread_id = %(source)s
    )
"""
"""The checkpoints that are copied. Versions end in a random number, so that those of two threads do not meet."""
COPY: Final = (
    _LED + """
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT DISTINCT ON (b.checkpoint_ns, b.channel, b.version)
        %(target)s, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
    FROM led JOIN checkpoints c ON c.thread_id = %(source)s
        AND c.checkpoint_ns = led.checkpoint_ns AND c.checkpoint_id = led.checkpoint_id
    CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
    JOIN checkpoint_blobs b ON b.thread_id = %(source)s
        AND b.checkpoint_ns = c.checkpoint_ns AND b.channel = v.key AND b.version = v.value
    ON CONFLICT DO NOTHING
    """,
    _LED + """
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    SELECT %(target)s, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.type, c.checkpoint, c.metadata
    FROM led JOIN checkpoints c ON c.thread_id = %(source)s
        AND c.checkpoint_ns = led.checkpoint_ns AND c.checkpoint_id = led.checkpoint_id
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE
    SET parent_checkpoint_id = EXCLUDED.parent_checkpoint_id, checkpoint = EXCLUDED.checkpoint,
        metadata = EXCLUDED.metadata
    """,
    _LED + """
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT %(target)s, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, w.blob
    FROM checkpoint_writes w
    WHERE w.thread_id = %(source)s AND (%(upto)s = '' OR (w.checkpoint_id <> %(upto)s AND EXISTS (
        SELECT FROM led WHERE led.checkpoint_ns = w.checkpoint_ns AND led.checkpoint_id = w.checkpoint_id)))
    ON CONFLICT DO NOTHING
    """,
)  # fmt: skip


def check_needed(db: Connection, thread_id: str, runs: Sequence[str]) -> None:
    """NeededHistory if a checkpoint of other runs is rebuilt from one of these runs'."""
    rows = db.execute(
        "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, coalesce(metadata ->> 'run_id' = ANY(%s), false),"
        " coalesce(metadata -> 'counters_since_delta_snapshot', '{}'), ARRAY("
        "   SELECT b.channel FROM checkpoint_blobs b WHERE b.thread_id = c.thread_id"
        "   AND b.checkpoint_ns = c.checkpoint_ns AND b.type <> 'empty'"
        "   AND b.version = c.checkpoint -> 'channel_versions' ->> b.channel)"
        " FROM checkpoints c WHERE thread_id = %s AND EXISTS (SELECT FROM checkpoints WHERE thread_id = %s"
        "   AND metadata ? 'counters_since_delta_snapshot')",
        (runs, thread_id, thread_id),
    ).fetchall()
    table = {(ns, cp): (up, gone, counters, set(blobs)) for ns, cp, up, gone, counters, blobs in rows}
    for (ns, _), (up, gone, counters, blobs) in table.items():
        missing = set() if gone else set(counters) - blobs
        while missing and up is not None and (ns, up) in table:
            cp = up
            up, needed, _, blobs = table[ns, cp]
            if needed:
                raise NeededHistory(
                    f"thread {thread_id!r}: checkpoint {cp!r} belongs to a run that should be deleted, but a "
                    "later checkpoint rebuilds a DeltaChannel from it; delete the later runs too, or the thread"
                )
            missing -= blobs


def drop_orphans(db: Connection, thread_id: str) -> None:
    """Delete the values that no checkpoint of a thread has any more."""
    db.execute(
        "DELETE FROM checkpoint_blobs b WHERE b.thread_id = %s AND NOT EXISTS ("
        " SELECT FROM checkpoints c WHERE c.thread_id = b.thread_id AND c.checkpoint_ns = b.checkpoint_ns"
        " AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)",
        (thread_id,),
    )
