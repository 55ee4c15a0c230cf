"""Reading, cutting, analysing and embedding of many files by Ray workers; what they make is written by whoever asks.

    for done in over(Spread(workers=8, load=partial(load_embedder, "minilm")), files, known, trust="trusted", …): …

Ray Data holds the files' names, hands some of them to each worker, keeps as many results as its store has room for, and
begins anew what a lost worker had in hand (https://docs.ray.io/en/latest/data/data-internals.html). A worker is given
paths, so it must see the same files under them. Results come in the order of the files. Nothing here knows a database;
Ray is imported when something is spread.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from state import DojangError, PassingFault, Trust, UserError
from store.ingesting.folders import Found
from store.ingesting.preparing import Part, embed_parts, parts_of
from store.ingesting.reading import STREAMED_CHARACTERS, Known, read_in
from store.models.embedding import Embedder
from store.readers.extract import Extract, Unreadable
from store.readers.files import bytes_of

AT_ONCE: Final = 16
"""Documents that a worker is given at a time: they share the embedding model's batches."""
MOST_PORTIONS: Final = 5_000
RETRIES: Final = 3
"""How often documents whose worker was lost are begun anew, by then by others: some may be what kills them."""
STORE_BYTES: Final = 2**29
"""Shared memory for what waits to be written, of a Ray that is started here."""


class RayAway(PassingFault):
    """Ray cannot be reached, or went away; what was written stays, and the same ingest goes on."""


@dataclass(frozen=True)
class Spread:
    """How an ingest is spread.

    ``workers``: processes that read and embed, a core each. ``load`` makes the embedding model in each of them, or None
    for none; picklable. ``address``: of a Ray cluster (``auto``, ``host:6379``, ``ray://host:10001``); "" starts a Ray
    of this machine's own for as long as the ingest takes, on the loopback interface, closed to others by a token.
    """

    workers: int
    load: Callable[[], Embedder | None]
    address: str = ""


@dataclass(frozen=True)
class Done:
    """What a worker made of one file. ``large``: too much for one piece; it is left to whoever asks."""

    what: Literal["prepared", "unchanged", "failed", "large"]
    why: str = ""
    extract: Extract | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class _Told:
    """What every worker is told once."""

    load: Callable[[], Embedder | None]
    trust: Trust
    limit_bytes: int


def over(
    spread: Spread, files: Sequence[Found], known: Mapping[str, Known], *, trust: Trust, limit_bytes: int
) -> Generator[Done]:
    """What became of each file, in their order.

    Raises:
        UserError: Ray is not installed.
        RayAway: it does not start, cannot be reached, or has gone.
        DojangError: what a worker raised that is not about one file, like an embedding endpoint that is away.
    """
    if not files:
        return
    told = _Told(spread.load, trust, limit_bytes)
    with _ray(spread) as data:
        portions = min(-(-len(files) // AT_ONCE), MOST_PORTIONS)
        rows = [{"job": pickle.dumps((one, known.get(one.name)))} for one in files]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray 2.60 calls limits of retries deprecated, and has no other way yet
            made = data.from_items(rows, override_num_blocks=portions).map_batches(
                _Worker, fn_constructor_args=(told,), batch_size=-(-len(files) // portions), num_cpus=1,
                max_restarts=-1, max_task_retries=RETRIES,
                compute=data.ActorPoolStrategy(size=min(spread.workers, portions)),
            )  # fmt: skip
        for row in made.iter_rows():
            done = pickle.loads(row["done"])  # what our own worker wrote
            if isinstance(done, DojangError):
                raise done
            yield done


class _Worker:
    """Lives as long as its process, and loads the embedding model once."""

    def __init__(self, told: _Told) -> None:
        self._told, self._embedder = told, told.load()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A column of pickled jobs to one of pickled results, of the same length."""
        jobs = [pickle.loads(job) for job in batch["job"]]
        try:
            made: Sequence[Done | DojangError] = self._done(jobs)
        except DojangError as error:  # not about one file: the ingest ends by it
            made = [error] * len(jobs)
        return {"done": [pickle.dumps(one, pickle.HIGHEST_PROTOCOL) for one in made]}

    def _done(self, jobs: Sequence[tuple[Found, Known | None]]) -> list[Done]:
        found = [self._read(one, known) for one, known in jobs]
        read = [(at, done.extract) for at, done in enumerate(found) if done.extract is not None]
        cut = [(at, extract, part) for at, extract in read for part in parts_of(extract)]
        embedded = embed_parts(self._embedder, [(extract, part) for _, extract, part in cut])
        own: dict[int, list[Part]] = {}
        for (at, _, _), part in zip(cut, embedded, strict=True):
            own.setdefault(at, []).append(part)
        return [
            Done("prepared", extract=done.extract, parts=tuple(own.get(at, ()))) if done.extract else done
            for at, done in enumerate(found)
        ]

    def _read(self, one: Found, known: Known | None) -> Done:
        told = self._told
        try:
            if one.refused:
                raise Unreadable(f"{one.name}: {one.refused}")
            data = bytes_of(one.path, limit_bytes=told.limit_bytes)
            extract = read_in(one.name, data, str(one.path.absolute()), known, told.trust, limit_bytes=told.limit_bytes)
        except UserError as error:
            return Done("failed", str(error))
        if extract is None:
            return Done("unchanged")
        return Done("large") if len(extract.text) > STREAMED_CHARACTERS else Done("prepared", extract=extract)


@contextmanager
def _ray(spread: Spread) -> Iterator[Any]:
    """Ray's data module, connected; what was started here is ended, and its files are gone with it.

    A process that is connected already (a notebook) stays as it is.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of each start
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # the terminal is ours
    if not spread.address:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError(
            "Ray is not installed; `pip install 'dojang[ray]'` adds it, and without --ray this process reads alone"
        ) from None
    if ray.is_initialized():
        yield ray.data
        return
    folder = tempfile.mkdtemp(prefix="dojang-ray-")  # 0700: documents may be spilled there
    how: dict[str, Any] = {"address": spread.address}
    if not spread.address:
        how = {
            "address": "local", "num_cpus": spread.workers + 1, "include_dashboard": False, "_temp_dir": folder,
            "_node_ip_address": "127.0.0.1", "object_store_memory": STORE_BYTES,
        }  # fmt: skip
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **how)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        yield ray.data
    except (ConnectionError, ray.exceptions.RayError) as error:
        if isinstance(error, ray.exceptions.RayTaskError):  # a bug of ours in a worker, with its traceback
            raise
        what = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RayAway(f"Ray has gone, or was not there: {what}; start the same command again: it goes on") from None
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


__all__ = ["Done", "RayAway", "Spread", "over"]
