"""tokens create | list | revoke: who may come in over HTTP. A token is printed once, when it is made."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import N_, word
from dojang.home import check_home

if TYPE_CHECKING:
    from dojang.server.access.tokens import Token, Tokens

app = typer.Typer()
tokens = typer.Typer(help="Who may come in over HTTP.", no_args_is_help=True)
app.add_typer(tokens, name="tokens")

DAYS = 90
SOON_DAYS = 14
STATES = {"active": N_("active"), "expired": N_("expired"), "revoked": N_("revoked")}


@tokens.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(metavar="NAME", help="The person: what they ask and decide bears this name.")],
    role: Annotated[
        list[str],
        typer.Option(
            metavar="ROLE",
            help="agent (a program), viewer, operator, manager, developer or admin, and roles of your policy. "
            "Repeatable.",
        ),
    ],
    days: Annotated[int, typer.Option(metavar="N", help="How long it opens the door.")] = DAYS,
) -> int:
    """Make a token and print it, once: only its hash is kept."""
    call = invocation(context)
    check_home(call.settings.home)
    secret, made = _tokens(call).make(checked_text(name), role, days=days, by=call.settings.user)
    call.terminal.document({"token": secret, **_shown(call, made)})
    call.terminal.line(secret)
    _ = call.terminal.gettext
    note = _("for {name} ({roles}), until {until}; it is shown this once: `dojang tokens revoke {prefix}` ends it")
    until = call.terminal.moment(made.expires_at)
    call.terminal.note(note.format(name=made.name, roles=", ".join(made.roles), until=until, prefix=made.prefix))
    return Exit.DONE


@tokens.command(name="list")
def list_tokens(context: typer.Context) -> int:
    """List the tokens, by the part of them that is no secret."""
    call = invocation(context)
    _ = call.terminal.gettext
    found = _tokens(call).all()
    shown = [_shown(call, token) for token in found]
    call.terminal.document(shown)
    moment = call.terminal.moment
    rows = [
        [
            token["prefix"], word(_, STATES, token["status"]), token["name"], ", ".join(token["roles"]),
            moment(token["expires_at"]), moment(token["used_at"]) if token["used_at"] else "",
        ]
        for token in shown
    ]  # fmt: skip
    if rows:
        head = [_("token"), _("status"), _("person"), _("roles"), _("until"), _("last used")]
        call.terminal.rows(rows, head=head)
        if ending := [token["prefix"] for token in shown if token["ends_soon"]]:
            text = _(
                "within {days} days these open nothing any more: {prefixes}; `dojang tokens create` makes new ones"
            )
            call.terminal.note(text.format(days=SOON_DAYS, prefixes=", ".join(ending)))
    else:
        call.terminal.note(_("no token was made: the server is for whoever sits at this machine"))
    return Exit.DONE


@tokens.command()
def revoke(
    context: typer.Context,
    token: Annotated[str, typer.Argument(metavar="PREFIX", help="The token; `dojang tokens list` shows it.")],
) -> int:
    """End a token, and whoever is logged in with it, now."""
    call = invocation(context)
    ended = _tokens(call).revoke(token, by=call.settings.user)
    call.terminal.document(_shown(call, ended))
    call.terminal.line(call.terminal.gettext("{id} is revoked by {by}").format(id=ended.prefix, by=ended.revoked_by))
    return Exit.DONE


def _tokens(call: Invocation) -> Tokens:
    from dojang.server.opening import tokens_of

    return tokens_of(call.settings, call.sessions, call.audit)


def _shown(call: Invocation, token: Token) -> dict[str, Any]:
    now = _tokens(call).now()
    return {**asdict(token), "status": token.status(now), "ends_soon": token.ends_soon(now)}
