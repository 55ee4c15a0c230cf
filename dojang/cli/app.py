"""Puts the command groups together and speaks their help in the reader's language. Defines no command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from dojang.cli import (
    adapters,
    asking,
    audit,
    deciding,
    documents,
    mcp,
    policy,
    replay,
    reviews,
    runs,
    sessions,
    shift,
    store,
    system,
    threads,
    tokens,
    workspace,
)
from dojang.cli.invocation import Invocation
from dojang.cli.words import N_
from dojang.language import catalogue

if TYPE_CHECKING:
    from state import Language

GLOBAL_FLAGS = ("--json",)
GLOBAL_VALUES = ("--home", "--lang", "--user")
GROUPS = (
    asking, deciding, reviews, shift, runs, threads, documents, store, sessions, audit, policy, adapters, replay,
    tokens, mcp, workspace, system,
)  # fmt: skip

ABOUT = "An agent that stops before it acts until a person stamps the step."
EXITS = (
    "Exit codes: 0 done; 1 doctor found a problem; 2 your mistake, nothing was changed; 3 a review waits for a person; "
    "4 somebody was first, or the page was stale; 5 something outside failed, try again; 70 broken records or a bug; "
    "130 interrupted."
)


def _main(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option(metavar="DIR", help="Where all run-time data lives.")] = None,
    lang: Annotated[Literal["ko", "en"] | None, typer.Option(help="Language of this command.")] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Who asks and decides, in records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    from dojang.origin import check_origin

    check_origin()
    call = context.find_object(Invocation)
    assert call is not None
    call.home, call.language, call.user, call.as_json = home, lang, user, as_json
    context.call_on_close(call.close)


@lru_cache
def command_line(language: Language = "en") -> TyperGroup:
    """The whole command, its help in ``language``; made once in a process. A call keeps nothing in it."""
    app = typer.Typer(
        name="dojang",
        help=ABOUT,
        epilog=EXITS,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_main)
    for group in GROUPS:
        app.add_typer(group.app)
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    command.help, command.epilog = ABOUT, EXITS
    gettext = catalogue("cli", language).gettext
    _translate(command, gettext, _context(gettext))
    return command


HEADINGS = (N_("Usage"), N_("Arguments"), N_("Options"), N_("Commands"))


def _context(gettext: Callable[[str], str]) -> type[typer.Context]:
    """A context whose help pages have their headings in the reader's language."""

    class Headed(typer.Context.formatter_class):  # type: ignore[valid-type,misc] # a class of Typer's, by attribute
        def write_heading(self, heading: str) -> None:
            super().write_heading(gettext(heading))

        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, args, prefix or f"{gettext('Usage')}: ")

    class Spoken(typer.Context):
        formatter_class = Headed

    return Spoken


def _translate(command: Any, gettext: Callable[[str], str], context: type[typer.Context]) -> None:
    """Put help texts through the catalogue; they are written as docstrings and option texts."""
    command.context_class = context
    for name in ("help", "epilog", "short_help"):
        text = getattr(command, name, None)
        if text:
            one = " ".join(text.split())
            setattr(command, name, gettext(one))
    for parameter in (*command.params, _help_option(command)):
        text = getattr(parameter, "help", None)
        if text:
            one = " ".join(text.split())
            parameter.help = gettext(one)
    for child in getattr(command, "commands", {}).values():
        _translate(child, gettext, context)


def _help_option(command: Any) -> Any:
    """``--help`` itself, made by Typer when it is first asked for, and kept by the command."""
    option = command.get_help_option(typer.Context(command, info_name="dojang"))
    option.help = N_("Show this message and exit.")
    return option


def hoisted(argv: Sequence[str]) -> list[str]:
    """The arguments with the global options in front, wherever they were given; nothing after ``--`` is touched."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(argv)
    for word in waiting:
        if word == "--":
            rest += [word, *waiting]
        elif word in GLOBAL_FLAGS or word.startswith(tuple(f"{name}=" for name in GLOBAL_VALUES)):
            front.append(word)
        elif word in GLOBAL_VALUES:
            value = next(waiting, None)
            if value is None:
                rest.append(word)
            else:
                front += [word, value]
        else:
            rest.append(word)
    return front + rest
