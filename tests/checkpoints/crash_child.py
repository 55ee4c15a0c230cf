"""The writer that test_crash kills. A module of its own, so that a fork server imports it once."""

from __future__ import annotations

from multiprocessing.connection import Connection

import checkpoints.log.packing as packing
from checkpoints import DecisionLog, FileSaver
from tests.checkpoints.cases import checkpoint, config, decision, metadata


def write_until_killed(directory: str, said: Connection) -> None:
    """Append checkpoints, writes and decisions for ever, prune and pack; tell each one that is acknowledged."""
    packing.PACK_MIN, packing.PACK_PART = 2000, 1000
    saver, log = FileSaver(directory), DecisionLog(directory)
    found = saver.get_tuple(config())
    i = int(found.checkpoint["id"]) if found else 0
    items = found.checkpoint["channel_values"]["items"] if found else []
    while True:
        i += 1
        items = [*items, {"번호": i, "글": f"{i} " * 40}][-30:]
        made = checkpoint({"items": items}, {"items": i}, f"{i:06}")
        saver.put(config(cp=f"{i - 1:06}" if i > 1 else None), made, metadata(i), {"items": i})
        said.send(("cp", i))
        saver.put_writes(config(cp=f"{i:06}"), [("items", i)], "task")
        said.send(("w", i))
        log.record("t", decision(f"r{i}"))
        said.send(("d", i))
        if i % 7 == 0:
            saver.prune(["t"])
