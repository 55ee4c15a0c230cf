"""What a client asks of a run, in our own words; it is what a row keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from langchain_core.messages import HumanMessage

from dojang.attachments import with_files
from dojang.server.work.streaming import StreamMode


@dataclass(frozen=True)
class Order:
    """One run, accepted or about to be.

    ``message``: the new message with its id, as ``{"id", "content"}``, and ``files``, as the state keeps them, where
    some came with it; None: the thread goes on where it is.
    ``temporary``: the thread was made for this run, and may go with it. ``trace``: the span of the request, as W3C's
    ``traceparent`` has it. ``protocol``: its events are kept in the form of :mod:`dojang.server.work.protocol`, and
    ``modes`` are passed over.
    """

    message: dict[str, Any] | None
    filters: dict[str, str] | None = None
    modes: list[StreamMode] = field(default_factory=lambda: ["values"])
    subgraphs: bool = False
    resumable: bool = False
    temporary: bool = False
    interrupt_before: str | list[str] | None = None
    interrupt_after: str | list[str] | None = None
    trace: str = ""
    protocol: bool = False

    @property
    def kept(self) -> bool:
        """Whether its events are kept in the database: those of the newer form have numbers that outlive a process."""
        return self.resumable or self.protocol

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """What ``as_json`` gave."""
        return cls(**body)

    def human(self, name: str) -> HumanMessage | None:
        """The message, by its author."""
        if self.message is None:
            return None
        said = HumanMessage(content=self.message["content"], id=self.message["id"], name=name)
        return with_files(said, self.message.get("files") or [])
