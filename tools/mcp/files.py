"""The two files that say which MCP servers there are and what of them is accepted, and whether they were written since.

Whoever was told of a change reads both anew. A file that was replaced is another one (its number); one that was written
in place has another time. What was written in the very moment of a look is looked at once more by its content.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.mcp.config import Server, read_servers
from tools.mcp.definitions import LOCK, Offer, read_lock

SETTLED_NS: Final = 50_000_000
"""Two writes within one tick of the kernel's clock (4 to 10 ms) bear one time: a file this young may change unseen."""
Stamp = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Said:
    """What the files say. ``stamp``: of before they were read, so that a change meanwhile is one."""

    servers: list[Server]
    accepted: Mapping[str, Offer]
    stamp: Stamp
    settled: bool


class Files:
    """``mcp.toml`` and the lock file beside it."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, path.with_name(LOCK)

    def stamp(self) -> Stamp:
        """Another one after each change; of a file that is not there, an empty part."""
        return tuple(_stamp(path) for path in (self.path, self.lock))

    def looked(self) -> tuple[Stamp, bool]:
        """Their stamp, and whether any later change will be another one."""
        stamp, now = self.stamp(), time.time_ns()
        return stamp, all(now - part[2] > SETTLED_NS for part in stamp if part)

    def read(self) -> Said:
        """What they say now. BrokenServers where either cannot be taken."""
        stamp, settled = self.looked()
        return Said(read_servers(self.path), read_lock(self.lock), stamp, settled)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
