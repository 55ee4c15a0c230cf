"""Log lines: as text or JSON, with the ids of :mod:`dojang.observing.where`, and no secret in them.

One handler on the root logger, so that libraries and uvicorn's access log pass through it, too. What a line says is
put together first and scrubbed then: a secret in an exception, an argument or a traceback is in the text by that time.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from dojang.observing import where
from dojang.observing.scrubbing import Scrubber

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]
LINE: Final = "{asctime} {levelname} {name}: {message}"
QUIET: Final = ("httpcore", "httpx", "urllib3", "asyncio", "python_multipart")
"""They tell of every connection at DEBUG, with headers."""


class Lines(logging.Formatter):
    """A record as one line of text, or several where it has a traceback."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__(LINE, style="{")
        self.scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """The scrubbed line; the ids stand behind the message's first line."""
        head, *rest = super().format(_without_query(record)).split("\n")
        told = " ".join(f"{name}={value}" for name, value in where.ids().items())
        return self.scrub("\n".join([f"{head} [{told}]" if told else head, *rest]))


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, the ids that are known, exception."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__()
        self.scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """The scrubbed line."""
        record = _without_query(record)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.scrub(record.getMessage()),
            **{name: self.scrub(value) for name, value in where.ids().items()},
        }
        if record.exc_info:
            line["exception"] = self.scrub(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = self.scrub(self.formatStack(record.stack_info))
        return json.dumps(line, ensure_ascii=False)


@contextmanager
def logging_as(form: Format, level: Level, scrub: Scrubber, stream: TextIO | None = None) -> Iterator[None]:
    """Within it, everything at ``level`` and above goes to ``stream`` (stderr) in this form; then all is as before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(scrub) if form == "json" else Lines(scrub))
    handler.setLevel(level.upper())
    root, before = logging.getLogger(), logging.getLogger().level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.INFO if level == "debug" else logging.WARNING, quiet[name]))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        for name, was in quiet.items():
            logging.getLogger(name).setLevel(was)


def _without_query(record: logging.LogRecord) -> logging.LogRecord:
    """Uvicorn's access line without what stands behind the ``?``: people paste tokens there."""
    if record.name != "uvicorn.access" or not isinstance(record.args, tuple) or len(record.args) != 5:
        return record
    client, method, path, version, status = record.args
    shown = logging.makeLogRecord(record.__dict__)
    shown.args = (client, method, str(path).partition("?")[0], version, status)
    return shown
