"""Documents in Qdrant, behind the same port as PostgreSQL: a folder on this machine, or the URL of a server.

Two collections: passages with a dense vector "text" and a sparse one "words" (BM25; Qdrant multiplies by IDF), and
documents as payload. The halves are fused on our side by the same numbers, so that scores mean the same. What Qdrant
cannot promise (ADR 9): a document is replaced point by point, new passages first; of two corrections at the same
instant both may be written; the average length of a passage is that of the first document. A folder belongs to one
process at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from state import Conflict, Passage, PassingFault, Trust, UserError
from store.ingesting.folders import files_of
from store.ingesting.ingest import IngestReport, Progress, Work
from store.ingesting.preparing import Prepared, embed_known, index_terms, length_of, passage_id, prepare
from store.ingesting.spread import Spread
from store.models.embedding import Embedder
from store.models.reranking import Reranker, reranked, reranked_depth
from store.postgres.locks import FileLock
from store.qdrant.points import (
    DENSE,
    NAMESPACE,
    SEPARATOR,
    SPARSE,
    document_payload,
    idf_of,
    passage_of,
    passage_payloads,
    point_id,
    scored,
    sparse_of,
    term_number,
)
from store.readers.extract import Extract, Unreadable
from store.readers.files import LIMIT_BYTES, read, read_bytes
from store.schema.vectors import Model, model_of
from store.searching.search import Question, Ranking, analysed, checked_k
from store.store import DocumentRow, UnknownDocument
from store.text.language import clean, language_of, sentences

DOCUMENTS: Final = "dojang_documents"
META: Final = str(uuid.uuid5(NAMESPACE, "meta"))
BATCH: Final = 256
TERMS: Final = 64  # words of a question that are looked up; each is one query of a batch
INDEXED: Final = ("document", "format", "trust", "digest", "language", "title", "page", "facts")


class QdrantStore:
    """Documents in Qdrant.

    Args:
        place: a folder, or ``http://…`` / ``https://…`` of a server.
        embedder: makes the vectors; None searches by words alone.
        key: the server's key.

    Raises:
        UserError: the package or the server is not what is needed, or another model embedded the documents.
        Conflict: another process has the folder open.
        PassingFault: no server answers.
    """

    def __init__(
        self,
        place: str,
        embedder: Embedder | None,
        *,
        key: str | None = None,
        ranking: Ranking | None = None,
        reranker: Reranker | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.embedder = embedder
        self.ranking = ranking or Ranking()
        self.reranker = reranker
        self._place = place
        self._local = not place.startswith(("http://", "https://"))
        self._limit_bytes = limit_bytes
        self._lock: Any = threading.RLock() if self._local else contextlib.nullcontext()
        self._folder = _folder_lock(Path(place)) if self._local else None
        self._client, self._models = _opened(place, key, local=self._local)
        try:
            with self._talking():
                self._meta = self._bound(embedder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the folder or the connections back."""
        self._client.close()
        if self._folder is not None:
            self._folder.release()

    def __enter__(self) -> QdrantStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- putting in and taking out ----------------------------------------------------------------------------------

    def ingest(
        self,
        paths: Sequence[Path | str],
        on_progress: Progress | None = None,
        trust: Trust = "trusted",
        metadata: Mapping[str, str] | None = None,
        *,
        on_work: Work | None = None,
        spread: Spread | None = None,
    ) -> IngestReport:
        """Put files and folders in; a broken file is reported and the rest goes in. Can be cut off and repeated."""
        if spread is not None:
            raise UserError("Ray reads in for PostgreSQL alone: ingest without --ray, or set DOJANG_STORE=postgres")
        report = IngestReport()
        files = list(files_of(paths))
        for done, one in enumerate(files, start=1):
            before = report.passages
            try:
                if one.refused:
                    raise Unreadable(f"{one.name}: {one.refused}")
                extract = read(one.path, name=one.name, limit_bytes=self._limit_bytes)
                self._put(extract, str(one.path.absolute()), trust, metadata or {}, report)
            except UserError as error:
                report.failed.append((one.name, str(error)))
            if on_work is not None:
                on_work("written", report.passages - before)
            if on_progress is not None:
                on_progress(one.name, done, len(files))
        return report

    def ingest_bytes(
        self,
        name: str,
        data: bytes,
        *,
        trust: Trust = "untrusted",
        metadata: Mapping[str, str] | None = None,
        on_work: Work | None = None,
    ) -> IngestReport:
        """Put one uploaded document in, in place of an upload of the same name."""
        report = IngestReport()
        self._put(read_bytes(clean(name), data, limit_bytes=self._limit_bytes), "", trust, metadata or {}, report)
        if on_work is not None:
            on_work("written", report.passages)
        return report

    def delete(self, name: str) -> None:
        """Take a document and its passages out. UserError when there is no such document."""
        with self._talking():
            self._document(clean(name))
            self._client.delete(self._passages, self._models.FilterSelector(filter=self._where({"document": name})))
            self._client.delete(DOCUMENTS, [point_id("document", clean(name))])

    def correct(self, passage: str, text: str, *, author: str, reason: str) -> Passage:
        """A new version of a passage; the old one keeps its id and is no longer found."""
        text = clean(text).strip()
        if not text or not author.strip():
            raise UserError("a correction needs a text and an author")
        with self._talking():
            old = self._payloads([passage]).get(passage)
            if old is None:
                raise UserError(f"passage {passage} is gone: search again")
            if not old["current"]:
                raise Conflict(f"passage {passage} was corrected meanwhile: search again and correct the newer one")
            new = self._corrected(old, text, author.strip(), clean(reason))
            counts = index_terms(new["title"], text)
            vector = embed_known(self.embedder, [(new["language"], new["title"], text)])[0]
            stale = self._models.PointStruct(
                id=point_id("passage", passage), vector={}, payload=old | {"current": False}
            )
            self._upsert(self._passages, [self._point(new, counts, vector), stale])
        return self.fetch([new["id"]])[0]

    # -- finding and reading back -----------------------------------------------------------------------------------

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """At most ``k`` passages, best first; filters as in PostgreSQL, and exact."""
        wanted = reranked_depth(checked_k(k), self.reranker)
        asked = analysed(query, self.embedder, self.ranking)
        if not asked:
            return []
        with self._talking():
            found = self._found(asked, wanted, filters or {})
        return reranked(query, found, self.reranker, k)

    async def asearch(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """:meth:`search` in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.search, query, k=k, filters=filters)

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order, old versions too; ids that are gone are left out."""
        with self._talking():
            found = self._payloads([clean(one) for one in ids])
        return [passage_of(found[one], {}) for one in ids if one in found]

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        with self._talking():
            rows = [payload for payload in self._scroll(DOCUMENTS, leave_out=["text"]) if "name" in payload]
        kept = [{key: row[key] for key in DocumentRow.__annotations__} for row in rows]
        return sorted((DocumentRow(**row) for row in kept), key=lambda row: row["name"])  # type: ignore[typeddict-item]

    def document_text(self, name: str) -> str:
        """The extracted text in which passages' offsets count. UserError when there is no such document."""
        with self._talking():
            return str(self._document(clean(name))["text"])

    # -- inside -----------------------------------------------------------------------------------------------------

    @property
    def _passages(self) -> str:
        return f"dojang_passages_{self._meta['number']}"

    def _put(
        self, extract: Extract, source: str, trust: Trust, metadata: Mapping[str, str], report: IngestReport
    ) -> None:
        with self._talking():
            known = self._retrieve(DOCUMENTS, [point_id("document", extract.name)])
        if known and (known[0]["digest"], known[0].get("told", known[0]["trust"])) == (extract.digest, trust):
            report.unchanged.append(extract.name)
            return
        if known and source and known[0]["source"] not in ("", source):
            raise Unreadable(
                f"{extract.name} is the name of another document, from {known[0]['source']}: "
                f"ingest their common folder, or delete the old one first"
            )
        facts = {clean(key): clean(str(value)) for key, value in metadata.items()}
        prepared = prepare(extract, self.embedder, source=source, trust=trust, metadata=facts)
        with self._talking():
            self._write(prepared)
        (report.replaced if known else report.added).append(extract.name)
        report.flagged += [extract.name] if any(prepared.flags) else []
        report.passages += len(prepared.chunks)

    def _write(self, prepared: Prepared) -> None:
        """New passages, then the document, then the old passages out: cut off anywhere, doing it again mends it."""
        extract, models = prepared.extract, self._models
        self._settle_average(prepared.terms)
        points = [self._point(*row) for row in passage_payloads(prepared)]
        for start in range(0, len(points), BATCH):
            self._upsert(self._passages, points[start : start + BATCH])
        self._upsert(
            DOCUMENTS,
            [models.PointStruct(id=point_id("document", extract.name), vector={}, payload=document_payload(prepared))],
        )
        old = self._where({"document": extract.name})
        old.must_not = [models.HasIdCondition(has_id=[point.id for point in points])]
        self._client.delete(self._passages, models.FilterSelector(filter=old))

    def _settle_average(self, terms: Sequence[Counter[str]]) -> None:
        if not self._meta["average"] and terms:
            self._meta["average"] = max(1.0, sum(map(length_of, terms)) / len(terms))
            self._record()

    def _point(self, payload: dict[str, Any], counts: Counter[str], vector: Any) -> Any:
        k1, b, average = self.ranking.k1, self.ranking.b, self._meta["average"]
        room = k1 * (1 - b + b * length_of(counts) / average)
        weights: dict[int, float] = {}
        for term, tf in counts.items():
            number = term_number(term)
            weights[number] = weights.get(number, 0.0) + tf * (k1 + 1) / (tf + room)
        vectors: dict[str, Any] = {
            SPARSE: self._models.SparseVector(indices=list(weights), values=list(weights.values()))
        }
        if vector is not None:
            vectors[DENSE] = [float(x) for x in vector]
        return self._models.PointStruct(id=point_id("passage", payload["id"]), vector=vectors, payload=payload)

    def _found(self, asked: Question, k: int, filters: Mapping[str, str]) -> list[Passage]:
        """One batch: the two halves, and each term alone, which tells its IDF."""
        models, ranking = self._models, self.ranking
        pool = max(ranking.pool, k)
        where = self._where(filters, current=True)
        terms = {term_number(term): weight for term, weight in zip(asked.terms, asked.weights, strict=True)}
        terms = dict(list(terms.items())[:TERMS])
        vector = None if asked.vector is None else np.asarray(asked.vector.to_list(), dtype=np.float32)

        def request(query: Any, using: str, limit: int, within: Any) -> Any:
            return models.QueryRequest(
                query=query, using=using, limit=limit, filter=within, with_payload=limit > 1, with_vector=True
            )

        def words(given: Mapping[int, float]) -> Any:
            return models.SparseVector(indices=list(given), values=list(given.values()))

        requests = [request(words({number: 1.0}), SPARSE, 1, None) for number in terms]
        requests += [request(words(terms), SPARSE, pool, where)] if terms else []
        requests += [request([float(x) for x in vector], DENSE, pool, where)] if vector is not None else []
        answers = [answer.points for answer in self._client.query_batch_points(self._passages, requests)]
        total = self._client.count(self._passages, exact=False).count
        idf = {n: idf_of(n, points, total) for n, points in zip(terms, answers, strict=False)}
        most = max(1e-9, sum(weight * idf[number] for number, weight in terms.items())) * (ranking.k1 + 1)
        found = {}
        for point in (point for points in answers[len(terms) :] for point in points):
            values = sparse_of(point)
            lexical = sum(weight * idf[number] * values.get(number, 0.0) for number, weight in terms.items()) / most
            found[point.id] = scored(point, lexical, vector, ranking.lexical_weight if terms else 0.0)
        best = sorted(found.values(), key=lambda passage: (-passage["scores"]["fused"], passage["id"]))
        return best[:k]

    def _where(self, filters: Mapping[str, str], *, current: bool = False) -> Any:
        models = self._models
        must = []
        for key, value in filters.items():
            if key in INDEXED and key != "facts":
                must.append(models.FieldCondition(key=key, match=models.MatchValue(value=clean(str(value)))))
            else:
                fact = f"{clean(key)}{SEPARATOR}{clean(str(value))}"
                must.append(models.FieldCondition(key="facts", match=models.MatchValue(value=fact)))
        if current:
            must.append(models.FieldCondition(key="current", match=models.MatchValue(value=True)))
        return models.Filter(must=must)

    def _corrected(self, old: dict[str, Any], text: str, author: str, reason: str) -> dict[str, Any]:
        version = old["version"] + 1
        made = passage_id(f"{old['digest']}\n{text}", old["document"], old["start"], old["end"], version)
        return old | {
            "id": made,
            "version": version,
            "text": text,
            "language": language_of(text),
            "sentences": [list(span) for span in sentences(text)],
            "author": author,
            "reason": reason,
        }

    def _document(self, name: str) -> dict[str, Any]:
        found = self._retrieve(DOCUMENTS, [point_id("document", name)])
        if not found:
            raise UnknownDocument(f"there is no document {name}: see the list of documents for the names")
        return found[0]

    def _payloads(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self._retrieve(self._passages, [point_id("passage", one) for one in ids])}

    def _retrieve(self, collection: str, points: Sequence[str]) -> list[dict[str, Any]]:
        return [point.payload or {} for point in self._client.retrieve(collection, list(points), with_payload=True)]

    def _scroll(self, collection: str, leave_out: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        payload = self._models.PayloadSelectorExclude(exclude=list(leave_out)) if leave_out else True
        offset = None
        while True:
            points, offset = self._client.scroll(collection, limit=BATCH, offset=offset, with_payload=payload)
            yield from (point.payload or {} for point in points)
            if offset is None:
                return

    def _upsert(self, collection: str, points: list[Any]) -> None:
        if points:
            self._client.upsert(collection, points, wait=True)

    def _bound(self, embedder: Embedder | None) -> dict[str, Any]:
        """What is recorded of the model; collections are made for the first one."""
        if not self._client.collection_exists(DOCUMENTS):
            self._client.create_collection(DOCUMENTS, vectors_config={})
        found = self._retrieve(DOCUMENTS, [META])
        known: dict[str, Any] = dict(found[0]["meta"]) if found else {"number": 1, "average": 0.0, "model": None}
        self._meta = known
        if not self._client.collection_exists(self._passages):
            self._create(embedder)
        if embedder is not None:
            wanted = model_of(embedder)
            recorded = Model(*known["model"]) if known["model"] else None
            if recorded is not None and not recorded.fits(wanted):
                raise UserError(
                    f"the documents were embedded by {recorded}, the setting is {wanted}: "
                    f"run `dojang documents reembed`, or set the old model again"
                )
            if recorded is None and found:
                raise UserError(
                    "the documents in Qdrant were read in without an embedding model: run `dojang documents reembed`"
                )
            known["model"] = list(wanted)
        self._record()
        return known

    def _create(self, embedder: Embedder | None) -> None:
        models = self._models
        dense = {}
        if embedder is not None:
            dense[DENSE] = models.VectorParams(size=embedder.dimension, distance=models.Distance.COSINE)
        sparse = {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)}
        self._client.create_collection(self._passages, vectors_config=dense, sparse_vectors_config=sparse)
        if not self._local:  # a folder has no indexes of payload, and warns
            for key in INDEXED:
                self._client.create_payload_index(self._passages, key, models.PayloadSchemaType.KEYWORD)
            self._client.create_payload_index(self._passages, "current", models.PayloadSchemaType.BOOL)

    def _record(self) -> None:
        self._upsert(DOCUMENTS, [self._models.PointStruct(id=META, vector={}, payload={"meta": self._meta})])

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        """One at a time in a folder; errors of a server as ours."""
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        with self._lock:
            try:
                yield
            except UnexpectedResponse as error:
                if error.status_code in (401, 403):
                    raise UserError(f"Qdrant at {self._place} refused ({error.status_code}): check its key") from None
                raise PassingFault(f"Qdrant at {self._place} failed ({error.status_code}): try again later") from None
            except ResponseHandlingException as error:
                raise PassingFault(
                    f"Qdrant at {self._place} does not answer ({type(error.source).__name__}): check that it runs"
                ) from None


def reembed(
    place: str, embedder: Embedder, on_progress: Callable[[int, int], None] | None = None, *, key: str | None = None
) -> int:
    """A second collection with vectors of ``embedder``, then the switch, then the old one goes. Returns how many.

    It begins anew when it was cut off. A document that another process puts in between the last look and the switch is
    lost to the new collection: do it while nothing is read in.
    """
    with QdrantStore(place, None, key=key) as store, store._talking():
        return _reembed(store, embedder, on_progress)


def _reembed(store: QdrantStore, embedder: Embedder, on_progress: Callable[[int, int], None] | None) -> int:
    old = store._passages
    rows = list(store._scroll(old))
    before = dict(store._meta)
    store._meta = {**before, "number": before["number"] + 1, "model": list(model_of(embedder))}
    if store._client.collection_exists(store._passages):
        store._client.delete_collection(store._passages)
    store._create(embedder)
    made = 0
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        vectors = embed_known(embedder, [(row["language"], row["title"], row["text"]) for row in part])
        points = []
        for row, vector in zip(part, vectors, strict=True):
            if row["current"]:
                points.append(store._point(row, index_terms(row["title"], row["text"]), vector))
                made += vector is not None
            else:
                points.append(store._models.PointStruct(id=point_id("passage", row["id"]), vector={}, payload=row))
        store._upsert(store._passages, points)
        if on_progress is not None:
            on_progress(min(start + BATCH, len(rows)), len(rows))
    store._record()
    store._client.delete_collection(old)
    return made


def _opened(place: str, key: str | None, *, local: bool) -> tuple[Any, Any]:
    try:
        from qdrant_client import QdrantClient, models
    except ImportError:
        raise UserError("the package qdrant-client is missing: pip install 'dojang[qdrant]'") from None
    try:
        if local:
            return QdrantClient(path=place, force_disable_check_same_thread=True), models
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a key over plain http, and a server's version that is not known yet
            return QdrantClient(url=place, api_key=key, timeout=30, check_compatibility=False), models
    except (ValueError, OSError) as error:
        raise UserError(f"Qdrant cannot be opened at {place} ({error}): correct DOJANG_STORE") from None


def _folder_lock(place: Path) -> FileLock:
    """Ours and not Qdrant's own, which leaves its file open where it fails."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the Qdrant folder {place} cannot be made ({error.strerror}): correct DOJANG_STORE") from None
    lock = FileLock(place / "dojang.lock")
    if not lock.try_acquire():
        raise Conflict(
            f"another process has the Qdrant folder {place} open: end it, or run a Qdrant server and set its URL"
        )
    return lock
