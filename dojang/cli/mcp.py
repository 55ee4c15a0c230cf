"""mcp, mcp tools | accept | withdraw: serve Dojang to MCP clients, and look at the MCP servers whose tools it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import EFFECTS, N_, word
from dojang.home import check_home

if TYPE_CHECKING:
    from dojang.parts import Parts
    from tools.mcp.definitions import Change, Offer
    from tools.mcp.servers import McpServers

app = typer.Typer()
ABOUT = "Tools of MCP servers; without a command, Dojang as one, over standard input and output."
mcp = typer.Typer(help=ABOUT, invoke_without_command=True)
app.add_typer(mcp, name="mcp")

CHANGES = {
    "new": N_("not accepted yet"),
    "gone": N_("gone"),
    "server": N_("another address"),
    "version": N_("another version"),
    "description": N_("another description"),
    "arguments": N_("other arguments"),
    "hints": N_("other notes on its effect"),
}
"""In what a tool differs from what was accepted."""


@mcp.callback()
def serve(context: typer.Context) -> int | None:
    """Without a command: serve Dojang to an MCP client over standard input and output, until it ends."""
    if context.invoked_subcommand is not None:
        return None
    from dojang.server.mcp_stdio import serve_stdio

    call = invocation(context)
    with call.workspace() as workspace:
        workspace.check_policy()
        serve_stdio(workspace)
    return Exit.DONE


@mcp.command()
def tools(context: typer.Context) -> int:
    """Ask the MCP servers what they offer, and show how that differs from what was accepted."""
    call = invocation(context)
    with _parts(call) as parts:
        found = {name: _offered(call, _servers(parts), name) for name in _servers(parts).servers}
    call.terminal.document(found)
    waiting = any(one["changes"] for server in found.values() for one in server["tools"].values())
    if waiting:
        call.terminal.note(call.terminal.gettext("`dojang mcp accept NAME` accepts a server's tools as they are now"))
    return Exit.PROBLEM if any(server["problem"] for server in found.values()) else Exit.DONE


@mcp.command()
def accept(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Servers, as the file of DOJANG_MCP names them.")],
) -> int:
    """Accept the tools of MCP servers as they are now: the model reads their words, and only they are called."""
    from state import UserError
    from tools.mcp.servers import accept as accept_in

    call = invocation(context)
    with _parts(call) as parts:
        servers, path = _servers(parts), call.settings.mcp
        assert path is not None
        wanted = [checked_text(name) for name in names]
        if unknown := [name for name in wanted if name not in servers.servers]:
            known = ", ".join(servers.servers)
            raise UserError(f"there is no MCP server {unknown[0]!r}; there are: {known}")
        at = parts.clock.now().isoformat(timespec="seconds")
        offers = accept_in(path, servers, wanted, by=call.settings.user, at=at)
        for name, offer in offers.items():
            facts: dict[str, Any] = {"tools": sorted(offer.tools), "version": str(offer.info.get("version", ""))}
            parts.audit.note(None, "mcp.accepted", call.settings.user, name, facts)
    _ = call.terminal.gettext
    call.terminal.document({name: sorted(offer.tools) for name, offer in offers.items()})
    for name, offer in offers.items():
        line = _("{name}: {count} tools accepted; servers and workers that run take that in at once")
        call.terminal.line(line.format(name=name, count=len(offer.tools)), style="green")
    return Exit.DONE


@mcp.command()
def withdraw(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Servers of which nothing is to be used.")],
) -> int:
    """Take back what was accepted of MCP servers: from now on no tool of theirs is offered or run."""
    from tools.mcp.servers import withdraw as withdraw_in

    call = invocation(context)
    with _parts(call) as parts:
        _servers(parts)
        path = call.settings.mcp
        assert path is not None
        offers = withdraw_in(path, [checked_text(name) for name in names])
        for name, offer in offers.items():
            facts: dict[str, Any] = {"tools": sorted(offer.tools)}
            parts.audit.note(None, "mcp.withdrawn", call.settings.user, name, facts)
    _ = call.terminal.gettext
    call.terminal.document({name: sorted(offer.tools) for name, offer in offers.items()})
    for name, offer in offers.items():
        line = _("{name}: {count} tools withdrawn; servers and workers that run take that in at once")
        call.terminal.line(line.format(name=name, count=len(offer.tools)), style="green")
    return Exit.DONE


def _parts(call: Invocation) -> Any:
    """The parts alone: servers are looked at before there is a model or a database."""
    from contextlib import closing

    from dojang.parts import Parts

    check_home(call.settings.home)
    return closing(Parts(call.settings))


def _servers(parts: Parts) -> McpServers:
    from state import UserError

    if parts.mcp is None:
        raise UserError("no MCP server is set up; write an mcp.toml and name it in DOJANG_MCP (docs/own-tools.md)")
    return parts.mcp


def _offered(call: Invocation, servers: McpServers, name: str) -> dict[str, Any]:
    """Print what a server offers; the same as a document."""
    from tools.mcp.servers import ServerDown

    _ = call.terminal.gettext
    try:
        offer, differences = servers.drift(name)
    except ServerDown as error:
        call.terminal.line(f"{name}: {call.terminal.told(str(error))}", style="bold red")
        return {"problem": str(error), "tools": {}}
    about = " ".join(str(part) for part in offer.info.values())
    call.terminal.line(f"{name} ({about})", style="bold")
    found = {}
    for tool, changes in differences.items():
        declared = servers.servers[name].declared(tool)
        state = ", ".join(_(CHANGES[change.what]) for change in changes) or _("as accepted")
        effect = word(_, EFFECTS, declared.effect)
        call.terminal.line(f"  {tool}  {effect}  {state}", style="yellow" if changes else "")
        _tell_words(call, offer, tool, changes)
        found[tool] = {
            "effect": declared.effect,
            "recovery": declared.recovery,
            "changes": [{"what": one.what, "before": one.before, "after": one.after} for one in changes],
            "description": offer.tools[tool].description if tool in offer.tools else "",
            "arguments": offer.tools[tool].schema if tool in offer.tools else {},
        }
    return {"problem": "", "tools": found}


def _tell_words(call: Invocation, offer: Offer, tool: str, changes: list[Change]) -> None:
    """The words of a tool that wait for somebody who accepts them, old and new."""
    if any(change.what == "new" for change in changes):
        for line in offer.tools[tool].description.splitlines():
            call.terminal.line(f"    {line}")
        properties = offer.tools[tool].schema.get("properties")
        for name, schema in (properties if isinstance(properties, dict) else {}).items():
            call.terminal.line(f"    · {name}: {schema}")
    for change in changes:
        for sign, text in (("-", change.before), ("+", change.after)):
            for line in text.splitlines():
                call.terminal.line(f"    {sign} {line}", style="red" if sign == "-" else "green")
