"""Images and PDFs that come with a message: looked at before they are kept, handed to the model as it can take them.

What a file is, its bytes say. The conversation keeps its name, type and SHA-256; the bytes lie beside it in the folder
of the session. A model that reads images or PDFs (DOJANG_MODEL_READS) gets them as LangChain's content blocks, with
their names; for one that does not, a PDF goes through the reader of documents, as passages of this turn, and an image
is refused.
"""

from __future__ import annotations

import base64
import io
import math
import threading
import unicodedata
import warnings
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AnyMessage, HumanMessage

from state import ATTACHED, FILES, AttachedFile, Language, Passage, UserError, files_of

if TYPE_CHECKING:
    from checkpoints.records.attachments import AttachmentLog
    from dojang.settings import Settings

PDF: Final = "application/pdf"
IMAGES: Final[Mapping[str, str]] = {
    "PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif",
}  # fmt: skip
"""Formats as Pillow calls them, and their types."""
SHOWN: Final = 5
"""Files of a conversation that a model is given at most, the newest ones."""
LONGEST_NAME: Final = 120
MB: Final = 2**20
_KEPT: Final = 32
"""PDFs whose passages stay in memory."""

Given = tuple[str, bytes]
"""The name and the bytes of a file as it came."""


class NotAttached(UserError):
    """A file that is not taken; the message says why, and what would be."""


@dataclass(frozen=True)
class Limits:
    """What is taken, from the settings."""

    megabytes: int
    megapixels: int
    pages: int
    count: int
    reads: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        return cls(
            settings.attachment_mb,
            settings.attachment_megapixels,
            settings.attachment_pages,
            settings.attachments,
            frozenset(settings.model_reads),
        )


def given_of(paths: Sequence[Path], limits: Limits) -> list[Given]:
    """The files at these paths. NotAttached, or store.readers' Unreadable."""
    from store.readers.files import bytes_of

    return [(path.name, bytes_of(path, limit_bytes=limits.megabytes * MB)) for path in paths]


def looked_at(files: Sequence[Given], limits: Limits) -> list[AttachedFile]:
    """What these files are, in their order. Nothing is kept, and nothing is said to be fine that the model cannot take.

    Raises:
        NotAttached: too many, too large, of another type, damaged; or an image for a model that reads none.
    """
    if len(files) > limits.count:
        raise NotAttached(f"{len(files)} files came with one message; at most {limits.count} are taken")
    return [_looked_at(named(name), data, limits) for name, data in files]


def named(name: str) -> str:
    """A name without folders and signs that nobody sees."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(c for c in plain if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")).strip()
    return unicodedata.normalize("NFC", clean)[-LONGEST_NAME:] or "file"


def _looked_at(name: str, data: bytes, limits: Limits) -> AttachedFile:
    import hashlib

    if not data:
        raise NotAttached(f"{name} is empty; attach it again")
    if len(data) > limits.megabytes * MB:
        raise NotAttached(
            f"{name} has {len(data) / MB:.1f} MB; at most {limits.megabytes} are taken (DOJANG_ATTACHMENT_MB)"
        )
    kept = AttachedFile(name=name, type=PDF, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    if b"%PDF-" in data[:1024]:
        return _pdf(kept, data, limits)
    return _image(kept, data, limits)


def _pdf(kept: AttachedFile, data: bytes, limits: Limits) -> AttachedFile:
    from store.readers.files import read_bytes
    from store.readers.pdf import pages_in

    pages = pages_in(kept["name"], data)
    if pages > limits.pages:
        raise NotAttached(
            f"{kept['name']} has {pages} pages; at most {limits.pages} are taken (DOJANG_ATTACHMENT_PAGES)"
        )
    if "pdf" not in limits.reads:  # read here and now, so that a scan is refused before it is sent
        read_bytes(f"{kept['name']}.pdf", data, limit_bytes=len(data))
    kept["pages"] = pages
    return kept


def _image(kept: AttachedFile, data: bytes, limits: Limits) -> AttachedFile:
    from PIL import Image, UnidentifiedImageError

    name = kept["name"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a bomb is told of by a warning, until it is twice as large
            with Image.open(io.BytesIO(data), formats=list(IMAGES)) as image:
                kept["type"], kept["width"], kept["height"] = IMAGES[str(image.format)], *image.size
                if math.prod(image.size) > limits.megapixels * 1_000_000:
                    raise NotAttached(
                        f"{name} has {image.width:,} × {image.height:,} pixels; at most {limits.megapixels} million "
                        "are taken (DOJANG_ATTACHMENT_MEGAPIXELS)"
                    )
                image.load()
    except UnidentifiedImageError:
        from store.readers.kinds import kind_in_words

        raise NotAttached(f"{name} is {kind_in_words(data)}; attach a PNG, JPEG, WebP or GIF image, or a PDF") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NotAttached(f"{name} has far too many pixels for its size; it was not opened") from None
    except (OSError, SyntaxError, ValueError, EOFError, Warning) as error:
        raise NotAttached(f"{name} is damaged and cannot be shown ({type(error).__name__}); save it anew") from None
    if "images" not in limits.reads:
        raise NotAttached(
            f"{name} is an image, and this model reads none; where it does, set DOJANG_MODEL_READS to "
            "'[\"images\"]' (docs/attachments.md), else say in words what the image shows; nothing was sent"
        )
    return kept


def with_files(message: HumanMessage, files: Sequence[AttachedFile]) -> HumanMessage:
    """The message that says which files came with it."""
    if not files:
        return message
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, FILES: list(files)}})


class Attachments:
    """What the nodes see of the files of a conversation; satisfies ``nodes.ports.Attachments`` by its shape.

    Args:
        log: where their bytes are.
        reads: what the model takes as it is: images, pdf.
        k: passages of read PDFs that a turn gets at most.
    """

    def __init__(self, log: AttachmentLog, reads: frozenset[str], k: int) -> None:
        self.log, self.reads, self.k = log, reads, k
        self._read: OrderedDict[str, list[Passage]] = OrderedDict()
        self._lock = threading.Lock()

    def shown(
        self, thread_id: str, messages: Sequence[AnyMessage], question: str, language: Language
    ) -> tuple[list[AnyMessage], list[Passage]]:
        """The messages with their files in them, and the passages of PDFs that had to be read."""
        named = [(message, file) for message in messages for file in files_of(message)]
        newest = {id(file) for _, file in named[-SHOWN:]}
        bodies = self.log.some(thread_id, {file["sha256"] for _, file in named[-SHOWN:]}) if named else {}
        passages: list[Passage] = []
        told: list[AnyMessage] = []
        for message in messages:
            blocks: list[dict[str, Any]] = []
            for file in files_of(message):
                data = bodies.get(file["sha256"]) if id(file) in newest else None
                found, read = self._blocks(file, data, language)
                blocks += found
                passages += read
            told.append(message.model_copy(update={"content": _content(message, blocks)}) if blocks else message)
        return told, _best(passages, question, self.k)

    def _blocks(
        self, file: AttachedFile, data: bytes | None, language: Language
    ) -> tuple[list[dict[str, Any]], list[Passage]]:
        name, kind = file["name"], "pdf" if file["type"] == PDF else "images"
        if data is None:
            return [_text(_GONE[language].format(name=name))], []
        body = base64.b64encode(data).decode("ascii") if kind in self.reads else ""
        if body and kind == "images":
            return [_text(_NAMED[language].format(name=name)), _image_block(file, body)], []
        if body:
            return [{"type": "file", "base64": body, "mime_type": PDF, "filename": name}], []
        if kind == "pdf":
            return [_text(_READ[language].format(name=name))], self._passages(file, data)
        return [_text(_UNSEEN[language].format(name=name))], []

    def _passages(self, file: AttachedFile, data: bytes) -> list[Passage]:
        with self._lock:
            if (known := self._read.get(file["sha256"])) is not None:
                self._read.move_to_end(file["sha256"])
                return known
        made = _passages_of(file, data)
        with self._lock:
            self._read[file["sha256"]] = made
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
        return made


_NAMED: Final[Mapping[Language, str]] = {"en": "Attached image “{name}”:", "ko": "첨부한 이미지 “{name}”:"}
_READ: Final[Mapping[Language, str]] = {
    "en": "(Attached “{name}”; its text is among the passages.)",
    "ko": "(“{name}” 첨부. 본문은 근거에 들어 있음)",
}
_UNSEEN: Final[Mapping[Language, str]] = {
    "en": "(Attached image “{name}”, which this model cannot see.)",
    "ko": "(“{name}” 이미지 첨부. 이 모델은 볼 수 없음)",
}
_GONE: Final[Mapping[Language, str]] = {
    "en": "(Attached “{name}”, which is not shown any more.)",
    "ko": "(“{name}” 첨부. 더는 보이지 않음)",
}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image_block(file: AttachedFile, body: str) -> dict[str, Any]:
    return {"type": "image", "base64": body, "mime_type": file["type"]}


def _content(message: AnyMessage, blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Blocks after the words; where all of them are words, one text, as models without eyes take no list."""
    if all(block["type"] == "text" for block in blocks):
        return "\n".join([message.text, *(block["text"] for block in blocks)])
    return [_text(message.text), *blocks]


def _passages_of(file: AttachedFile, data: bytes) -> list[Passage]:
    """The PDF as passages, as the reader of documents cuts them. What somebody attached is nobody's to vouch for."""
    from store.ingesting.chunking import chunk
    from store.ingesting.preparing import passage_id
    from store.readers.files import read_bytes

    extract = read_bytes(f"{file['name']}.pdf", data, limit_bytes=len(data))
    document = ATTACHED + file["name"]
    return [
        Passage(
            id=passage_id(file["sha256"], document, piece.start, piece.end),
            document=document,
            title=piece.title or file["name"],
            text=extract.text[piece.start : piece.end],
            start=piece.start,
            end=piece.end,
            page=piece.page,
            language=piece.language,
            sentences=[list(span) for span in piece.sentences],
            scores={"fused": 0.0},
            trust="untrusted",
        )
        for piece in chunk(extract)
    ]


def _best(passages: Sequence[Passage], question: str, k: int) -> list[Passage]:
    """Those that share most with the question, rare terms counting more; the first ones where none shares anything."""
    if len(passages) <= k:
        return list(passages)
    from store.ingesting.preparing import index_terms

    counts = [index_terms(passage["title"], passage["text"]) for passage in passages]
    held = Counter(term for terms in counts for term in terms)
    asked = index_terms("", question)
    scores = [sum(math.log(1 + len(passages) / held[term]) for term in asked if term in terms) for terms in counts]
    order = sorted(range(len(passages)), key=lambda n: (-scores[n], n))[:k]
    return [Passage(**{**passages[n], "scores": {"fused": round(scores[n], 3)}}) for n in order]
