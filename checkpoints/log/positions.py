"""Which record of a checkpoint log is what: by checkpoint id, by namespace, in the order of the file.

Knows offsets, not values. Records are added as they are read or written; a *mark* among them says where each
namespace's newest checkpoint is, so that a reader who begins at the last mark need not see what came before.
"""

from __future__ import annotations

from checkpoints.files.frames import Record

Key = tuple[str, str]
"""(namespace, checkpoint id)."""


class Positions:
    """Offsets of the records seen so far, of all of them where ``complete``."""

    def __init__(self, *, complete: bool = False) -> None:
        self.complete = complete
        self.cps: dict[str, dict[str, int]] = {}
        self.writes: dict[Key, list[int]] = {}
        self.tops: dict[str, str] = {}  # the greatest checkpoint id of each namespace that is indexed
        self.early: set[Key] = set()  # checkpoints that have writes but did not come yet
        self.heads: dict[str, int] = {}  # the last checkpoint record of each namespace, in file order
        self.covered: set[str] = set()  # namespaces whose newest checkpoint is known without the whole log
        self.touched: set[str] = set()  # namespaces with records since the last mark
        self.marked = 0  # offset of the last mark
        self.packed = 0  # up to here the log was packed (``packing``)

    def newest(self, ns: str) -> str | None:
        """The newest checkpoint id of a namespace, as far as it is known."""
        return self.tops.get(ns)

    def knows_newest(self, ns: str) -> bool:
        """Whether ``newest`` is the newest of all."""
        return self.complete or ns in self.covered

    def add(self, record: Record, offset: int) -> None:
        """A record of the log, in the order of the file."""
        kind = record["k"]
        if kind == "cp":
            ns = record.get("ns", "")
            self._checkpoint(ns, record["id"], offset)
            self.heads[ns] = offset
            self.touched.add(ns)
        elif kind == "w":
            ns = record.get("ns", "")
            self.writes.setdefault((ns, record["cp"]), []).append(offset)
            if record["cp"] not in self.cps.get(ns, {}):
                self.early.add((ns, record["cp"]))
            self.touched.add(ns)
        elif kind == "mark":
            self.marked = offset
            self.packed = record.get("packed", self.packed)
            self.touched.clear()
            if not self.complete:
                self._mark(record)

    def _checkpoint(self, ns: str, cp: str, offset: int) -> None:
        self.cps.setdefault(ns, {})[cp] = offset
        self.tops[ns] = max(cp, self.tops.get(ns, ""))
        self.early.discard((ns, cp))

    def _mark(self, record: Record) -> None:
        for ns, top, at, head, writes in record["tops"]:
            self._checkpoint(ns, top, at)
            self.heads[ns] = head
            self.covered.add(ns)
            known = self.writes.setdefault((ns, top), [])
            known[:0] = [w for w in writes if w not in known]
        for ns, cp, writes in record["early"]:
            known = self.writes.setdefault((ns, cp), [])
            known[:0] = [w for w in writes if w not in known]
            if cp not in self.cps.get(ns, {}):
                self.early.add((ns, cp))

    def mark(self, *, packed: int | None = None) -> Record:
        """What a cold reader must know of everything before this record; of namespaces whose newest is known."""
        tops = []
        for ns in sorted(self.touched | {""}):
            if (found := self.cps.get(ns)) and self.knows_newest(ns):
                top = self.tops[ns]
                tops.append([ns, top, found[top], self.heads[ns], self.writes.get((ns, top), [])])
        early = [[ns, cp, w] for ns, cp in sorted(self.early) if (w := self.writes.get((ns, cp)))]
        record: Record = {"k": "mark", "tops": tops, "early": early}
        if packed := self.packed if packed is None else packed:
            record["packed"] = packed
        return record
