"""``dojang …`` and ``python -m dojang …``: runs one command and turns every ending into an exit code and one line."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from dojang.cli.exits import Exit, exit_of_error
from dojang.cli.invocation import Invocation, OpenWorkspace, spoken_language

if TYPE_CHECKING:
    from state import Language


def main(argv: Sequence[str] | None = None, *, open_workspace: OpenWorkspace | None = None) -> int:
    """Run one command; never raises for what a user can do wrong. ``DOJANG_DEBUG=1`` shows tracebacks.

    Args:
        argv: the words after the program's name; those of this process when None.
        open_workspace: makes the workspace from the settings; for tests and embedding.

    Returns:
        The exit code (see :mod:`dojang.cli.exits`).
    """
    from typer.exceptions import Abort, TyperException

    from dojang.cli.app import command_line, hoisted

    # bitsandbytes compiles its CPU kernels when it is imported: a second of each start, for nothing that runs here.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    # The model's libraries make a million objects while they are imported, and collecting among them finds nothing:
    # 0.75 s of 4.0 s of CPU (docs/log/shell.md, 2026-11-25).
    gc.set_threshold(50_000, 10, 10)
    words = hoisted(sys.argv[1:] if argv is None else argv)
    call = Invocation() if open_workspace is None else Invocation(open_workspace=open_workspace)
    call.as_json = "--json" in words[: words.index("--")] if "--" in words else "--json" in words
    call.language = _named_language(words)
    try:
        code = command_line(call.language or spoken_language()).main(
            words, prog_name="dojang", standalone_mode=False, obj=call
        )
        return int(code or Exit.DONE)
    except TyperException as error:
        return _usage(call, error)
    except (Abort, KeyboardInterrupt):
        call.terminal.note("")
        return Exit.INTERRUPTED
    except SystemExit:  # Typer's answer to a reader that is gone
        _close_stdout()
        return Exit.DONE
    except Exception as error:
        return _failed(call, error)


def _named_language(words: Sequence[str]) -> Language | None:
    for before, word in zip(("", *words), words, strict=False):
        name = word if before == "--lang" else word.removeprefix("--lang=") if word.startswith("--lang=") else ""
        if name in ("ko", "en"):
            return cast("Language", name)
    return None


def _usage(call: Invocation, error: Exception) -> int:
    message = getattr(error, "format_message", lambda: str(error))()
    if type(error).__name__ == "NoArgsIsHelpError":
        call.terminal.err.file.write(message + "\n")
        return Exit.MISTAKE
    context = getattr(error, "ctx", None)
    hint = f" ({context.command_path} --help)" if context is not None else ""
    message = message.rstrip(".")
    return _told(call, error, message + hint, Exit.MISTAKE, call.terminal.told(message) + hint)


def _failed(call: Invocation, error: Exception) -> int:
    from state import DojangError

    code = exit_of_error(error)
    if isinstance(error, DojangError):
        message = str(error)
    elif isinstance(error, OSError):
        message = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    else:
        kind, text = type(error).__name__, str(error) or "-"
        bug = "this is a bug in Dojang ({kind}: {text}); DOJANG_DEBUG=1 shows where; nothing was repeated"
        return _told(
            call,
            error,
            bug.format(kind=kind, text=text),
            code,
            call.terminal.gettext(
                "this is a bug in Dojang ({kind}: {text}); DOJANG_DEBUG=1 shows where; nothing was repeated"
            ).format(kind=kind, text=text),
        )
    return _told(call, error, message, code)


def _told(call: Invocation, error: Exception, message: str, code: Exit, shown: str = "") -> int:
    """The error as one line on stderr; with ``--json`` as the one document on stdout too, whose message stays English.

    ``shown``: what a person reads, where that is not the message put into their language.
    """
    if os.environ.get("DOJANG_DEBUG") == "1":
        traceback.print_exception(error)
    call.terminal.error(shown or message)
    if call.as_json:
        kind = type(error).__name__
        document = {"error": {"kind": kind, "message": " ".join(message.split()), "exit_code": int(code)}}
        call.terminal.out.file.write(json.dumps(document, ensure_ascii=False) + "\n")
    return code


def _close_stdout() -> None:
    """Whoever read our output is gone: leave nothing for the interpreter to flush into the closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
