"""The inbox with very many open reviews: its first page, a search in it, and a decision, over HTTP.

``python benchmarks/inbox.py --home DIR --reviews 100000`` makes the home where it is not there yet, then serves it and
asks. Needs no database and no model: the desk of the tests speaks. Times are wall times of a client on the same
machine, server and client in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from checkpoints.files.folders import FORMAT  # noqa: E402
from checkpoints.index import _store  # noqa: E402
from checkpoints.looking import signature  # noqa: E402
from dojang.server import create_app  # noqa: E402
from dojang.workspace import Workspace  # noqa: E402
from tests.flywheel.promotions import front  # noqa: E402


def fill(desk: Workspace, home: Path, wanted: int) -> None:
    """Threads that wait, until there are so many; each with one review, due at another time.

    A real one is asked. The others are folders without checkpoints, and the rows that the index would derive if they
    had some: what is measured reads names, times and stamps of folders, and the index; it opens real sessions only.
    """
    index, folders = desk.parts.index, desk.parts.folders
    like = desk.ask("book")
    index.refresh()
    if index.counts()["threads"] >= wanted:
        return
    now, started = datetime.now(UTC), time.monotonic()
    with index._connected() as db, db:
        for number in range(1, wanted):
            name, due = f"th_{number:010d}", now + timedelta(hours=2, seconds=number * 7919 % 1_000_000)
            folder = folders.path(name)
            folder.mkdir(parents=True)
            (folder / "thread.json").write_text(json.dumps({"format": FORMAT, "thread_id": name}))
            review: Any = {
                **like.reviews[0], "id": f"rv_{number:016x}", "thread_id": name, "created_at": now.isoformat(),
                "due_at": due.isoformat(), "escalate_at": due.isoformat(), "summary": f"Book room {number}",
                "tier": 1 + number % 2,
            }  # fmt: skip
            row: Any = {
                "thread_id": name, "title": "book", "status": "interrupted", "updated_at": now.isoformat(),
                "open_reviews": 1, "error": "", "spent": [], "adapter": "", "owner": "kim",
            }  # fmt: skip
            told = signature(folders.root, folder.name)
            _store(db, folder.name, told, row, [index._columns((review["id"], review, True, None))])
    print(f"{wanted:,} threads made in {time.monotonic() - started:.0f} s", flush=True)


def measured(name: str, ask: Callable[[], Any], times: int) -> None:
    """Ask so often and print how long it took."""
    took, cpu = [], time.process_time()
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begun) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / times
    ordered = sorted(took)
    print(
        f"{name:<44} median {statistics.median(took):7.1f}  p95 {ordered[int(len(took) * 0.95)]:7.1f}  "
        f"max {ordered[-1]:7.1f} ms, CPU {cpu:6.1f} ms  ({times} times)",
        flush=True,
    )


def main() -> None:
    """Make the home, serve it, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--reviews", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--only-make", action="store_true")
    told = parser.parse_args()
    with front(told.home) as desk:
        fill(desk, told.home, told.reviews)
        if told.only_make:
            return
        print(f"load {os.getloadavg()}", flush=True)
        begun = time.perf_counter()
        desk.parts.index.refresh()
        print(f"first look at everything: {time.perf_counter() - begun:.1f} s", flush=True)
        begun = time.perf_counter()
        desk.parts.index._look_at_all()
        print(f"another look at everything: {time.perf_counter() - begun:.2f} s", flush=True)
        app = create_app(desk)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        ask(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60), desk, told.times)
        server.should_exit = True
        thread.join()
        print(f"load {os.getloadavg()}", flush=True)


def ask(client: httpx.Client, desk: Workspace, times: int) -> None:
    """The questions of an operator."""

    def get(path: str, **params: Any) -> Any:
        answer = client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    count = get("/reviews/count")["count"]
    print(f"{count:,} open reviews", flush=True)
    measured("GET /reviews, the first 50", lambda: get("/reviews", limit=50), times)
    page = get("/reviews", limit=50)
    measured("  the next page", lambda: get("/reviews", limit=50, cursor=page["next"]), times)
    measured("  of one tool and tier", lambda: get("/reviews", limit=50, tool="book", tier=2), times)
    measured("  newest first", lambda: get("/reviews", limit=50, sort="newest"), times)
    measured("  highest tier first", lambda: get("/reviews", limit=50, sort="tier"), times)
    measured("  rare words in the text", lambda: get("/reviews", limit=50, text=f"room {count - 7}"), times // 5)
    waiting_threads = {"status": "interrupted", "limit": 10, "sort_by": "updated_at"}
    measured(
        "POST /threads/search, ten that wait",
        lambda: client.post("/threads/search", json=waiting_threads).raise_for_status(),
        times,
    )
    measured("GET /reviews/count", lambda: get("/reviews/count"), times)
    measured(
        "GET / (the page)", lambda: client.get("/", headers={"accept": "text/html"}).raise_for_status(), times // 5
    )
    waiting = [desk.ask("book").reviews[0] for _ in range(times)]
    each = iter(waiting)

    def decide() -> None:
        review = next(each)
        said = {"type": "approve", "digest": review["digest"]}
        client.post(f"/reviews/{review['id']}/decision", json=said).raise_for_status()

    measured("POST decision, with its run", decide, times)
    after = [desk.ask("book").reviews[0] for _ in range(times)]
    rest = iter(after)

    def page_after_decision() -> None:
        review = next(rest)
        desk.record(review["id"], "approve")
        begun = time.perf_counter()
        get("/reviews", limit=50)
        took.append((time.perf_counter() - begun) * 1000)

    took: list[float] = []
    for _ in range(times):
        page_after_decision()
    print(
        f"first page right after a decision: median {statistics.median(took):.1f}, max {max(took):.1f} ms", flush=True
    )
    batch = [desk.ask("book").reviews[0] for _ in range(50)]
    named = [{"id": review["id"], "digest": review["digest"]} for review in batch]
    begun = time.perf_counter()
    made = client.post("/reviews/bulk", json={"reviews": named, "type": "approve"}).json()
    print(
        f"POST /reviews/bulk: {len(made['decided'])} decided, {len(made['skipped'])} skipped, "
        f"{time.perf_counter() - begun:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
