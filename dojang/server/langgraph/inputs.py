"""What a client gives a run: one message of a person, or a decision on what waits. Nothing else gets in."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from dojang.attachments import Given
from dojang.server.hooks.addresses import Reach
from dojang.server.langgraph.blocks import text_and_files
from dojang.server.langgraph.bodies import RunIn
from dojang.workspace import Workspace
from nodes.wire import by_review
from state import Conflict, UserError

_PERSON: Final = ("human", "user")
_STANDS_IN: Final = "do-not-render-"  # Agent Chat UI's
_KEYS: Final = ("messages", "filters")


class NotTaken(UserError):
    """Something in the body is not taken; the message names it."""


def check_options(asked: RunIn, reach: Reach) -> None:
    """Raise NotTaken where a body asks for what would go round the gate, or is not served."""
    if asked.command is not None and asked.command.goto not in (None, [], ()):
        raise NotTaken("command.goto is not taken: it would leave what waits undecided; decide it (reject, for one)")
    if asked.command is not None and asked.command.update not in (None, {}, [], ()):
        raise NotTaken("command.update is not taken; send the change to POST /threads/ID/state, and a message as input")
    if asked.context:
        raise NotTaken("context is not taken: what a run works with is the server's own")
    if asked.webhook is not None:
        reach.check(asked.webhook)


def message_of(given: Mapping[str, Any], known: Collection[str] = ()) -> dict[str, Any]:
    """The one new message of an input, as ``{"id", "content", "given"}``; ``given``: files, as (name, bytes).

    Whose it is, is not for the body to say.

    ``known``: ids of the messages that the thread has; a graph that has ours as a node sends those along each time.

    Raises:
        NotTaken: another key of the state, no message or several, a message that is no person's, no text.
    """
    strange = [key for key in given if key not in _KEYS]
    if strange:
        raise NotTaken(f"input.{strange[0]} is not taken: a run is given messages (and filters), nothing else")
    messages = given.get("messages")
    if isinstance(messages, str | Mapping):
        messages = [messages]
    if isinstance(messages, list) and len(messages) > 1:
        messages = [message for message in messages[:-1] if not _is_old(message, known)] + messages[-1:]
    if not isinstance(messages, list) or len(messages) != 1:
        raise NotTaken("input.messages: send exactly one message, the new one; the thread has the others")
    message = messages[0]
    if isinstance(message, str):
        message = {"type": "human", "content": message}
    if isinstance(message, list) and len(message) == 2:
        message = {"type": message[0], "content": message[1]}
    if not isinstance(message, Mapping):
        raise NotTaken("input.messages: a message is an object with a role (user) and a content")
    role = message.get("type") or message.get("role")
    if role not in _PERSON:
        raise NotTaken(f"input.messages: a message of {role!r} is not taken; only a person's (human, user) is")
    content, files = _content(message.get("content"))
    return {"id": _id_of(message.get("id")), "content": content, "given": files}


def _is_old(message: object, known: Collection[str]) -> bool:
    """Whether a message says nothing new: the thread has it, or a chat page made it up to stand for a tool's answer."""
    if not isinstance(message, Mapping):
        return False
    stands_in = message.get("type") == "tool" and str(message.get("id")).startswith(_STANDS_IN)
    return stands_in or message.get("id") in known


def filters_of(given: Mapping[str, Any]) -> dict[str, str] | None:
    """The filters of an input; None where it has none. NotTaken where they are no object of texts."""
    filters = given.get("filters")
    if filters is None:
        return None
    if not isinstance(filters, Mapping) or not all(isinstance(value, str) for value in filters.values()):
        raise NotTaken("input.filters: send an object whose values are texts")
    return {str(key): value for key, value in filters.items()}


def decide(workspace: Workspace, thread_id: str, said: object, *, by: str) -> str:
    """Record what a resume says, at the door, as the caller; nothing runs yet. What it still waits for; "" nothing.

    Raises:
        Conflict: nothing waits, or not under that id (any more): somebody was first.
        UserError: the answer does not fit its review.
    """
    # One at a time: of two clients that say the same, as the same person, one decides and the other is told so.
    with workspace.parts.backend.lock("resume", thread_id):
        still = workspace.waiting(thread_id)
        ids = {key for interrupt_id, review in still for key in (interrupt_id, review["id"])}
        if not still:
            raise Conflict(f"nothing waits for a decision on thread {thread_id}; it was decided already")
        by_id = isinstance(said, Mapping) and bool(said) and not {"type", "decisions"} & set(said)
        if by_id and isinstance(said, Mapping) and not ids & {str(key) for key in said}:
            raise Conflict(f"nothing waits under the id {next(iter(said))!r}; these wait: {', '.join(sorted(ids))}")
        notes = [
            workspace.record(review["id"], cast(Any, raw), by=by, channel="http", thread_id=review["thread_id"])[1]
            for review, raw in by_review(still, said)
        ]
    return " ".join(note for note in notes if note)


def _id_of(given: object) -> str:
    """A client's own id where it is a UUID: no other can be taken for one of ours."""
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        return f"human-{uuid.uuid4().hex[:16]}"


def _content(content: object) -> tuple[str, list[Given]]:
    """The text of a message and its files; NotTaken where it has no text, or something that is neither."""
    files: list[Given] = []
    if isinstance(content, list):
        content, files = text_and_files(content)
    if not isinstance(content, str) or not content.strip():
        raise NotTaken("the message is empty; write a question or a request")
    try:
        content.encode()
    except UnicodeEncodeError:
        raise NotTaken("the message has half a character in it; send well-formed text") from None
    return content, files
