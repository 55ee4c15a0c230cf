"""serve, work, doctor, settings, demo: the installation itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.home import check_home

if TYPE_CHECKING:
    from dojang.cli.terminal import Terminal
    from dojang.results import Check

app = typer.Typer()

HIDDEN = "********"


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to bind.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to bind; 0 takes any free one.")] = None,
) -> int:
    """Serve the console and the HTTP API until Ctrl-C."""
    from dojang.settings import load_settings

    call = invocation(context)
    settings = load_settings(home=call.home, language=call.language, user=call.user, host=host, port=port)
    check_home(settings.home)
    from dojang.server.app import serve as serve_forever
    from dojang.server.serving import end_process

    def ready(url: str) -> None:
        call.terminal.document({"url": url})
        call.terminal.line(url)
        call.terminal.out.file.flush()
        call.terminal.note(call.terminal.gettext("serving; Ctrl-C ends it"))

    with call.open_workspace(settings) as workspace:
        whole = serve_forever(settings, workspace=workspace, on_ready=ready)
    if not whole:
        end_process()
    return Exit.DONE


@app.command()
def work(
    context: typer.Context,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, metavar="N", help="Runs at a time; DOJANG_WORKERS if not given.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of this process, in logs.")] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="Where it answers /healthz, /readyz and /metrics, like 127.0.0.1:9100; nowhere if not given.",
        ),
    ] = None,
) -> int:
    """Carry out runs that a server has accepted into PostgreSQL, on this machine or another one, until Ctrl-C."""
    from dojang.settings import load_settings

    call = invocation(context)
    settings = load_settings(home=call.home, language=call.language, user=call.user)
    check_home(settings.home)
    from dojang.server.serving import end_process
    from dojang.server.working import work as work_forever

    def ready(who: str, many: int, where: str, told_at: str) -> None:
        call.terminal.document({"name": who, "workers": many, "database": where, "url": told_at or None})
        call.terminal.line(
            call.terminal.gettext("{name}: {workers} workers take runs from {database}; Ctrl-C ends it").format(
                name=who, workers=many, database=where
            )
        )
        if told_at:
            call.terminal.line(told_at)
        call.terminal.out.file.flush()

    with call.open_workspace(settings) as workspace:
        whole = work_forever(settings, workspace, workers=workers, name=name, listen=listen, on_ready=ready)
    if not whole:
        end_process()
    return Exit.DONE


@app.command()
def doctor(context: typer.Context) -> int:
    """Check the installation: one line each, with the remedy where something is wrong. Code 1 when anything is."""
    from dojang.doctor import examine

    call = invocation(context)
    _ = call.terminal.gettext
    checks = []
    with call.open_workspace(call.settings) as workspace, call.terminal.working(_("checking")) as tell:
        for check in examine(workspace.parts, call.terminal.language):
            checks.append(check)
            tell(_(check.name))
    call.terminal.document([check.as_json() for check in checks])
    for check in checks:
        mark, style = (_("OK"), "green") if check.ok else (_("PROBLEM"), "bold red")
        detail, remedy = _read(call.terminal, check)
        call.terminal.line(f"{mark} {_(check.name)}: {detail}", style="" if check.ok else style)
        if remedy:
            call.terminal.line(f"   → {remedy}")
    return Exit.DONE if all(check.ok for check in checks) else Exit.PROBLEM


def _read(terminal: Terminal, check: Check) -> tuple[str, str]:
    """What was found, and what to do about it; one of an error is one message, so its Korean is not cut in two."""
    if check.ok:
        return terminal.told(check.detail), ""
    whole = f"{check.detail}; {check.remedy}"
    if (read := terminal.told(whole)) != whole and terminal.told(check.remedy) == check.remedy:
        return read, ""
    return terminal.told(check.detail), terminal.told(check.remedy)


@app.command()
def settings(context: typer.Context) -> int:
    """Print all settings; passwords and keys stay hidden."""
    call = invocation(context)
    _ = call.terminal.gettext
    values = shown_settings(call.settings)
    call.terminal.document({name: value for name, value, _about in values})
    rows = [[f"DOJANG_{name.upper()}", "" if value is None else str(value), _(about)] for name, value, about in values]
    call.terminal.rows(rows)
    return Exit.DONE


def shown_settings(given: Any) -> list[tuple[str, Any, str]]:
    """(name, JSON value, description) of each setting; secrets as asterisks, None where they are not set."""
    values = given.model_dump(mode="json")
    shown = []
    for name, info in type(given).model_fields.items():
        secret = "Secret" in str(info.annotation) and values[name] is not None
        shown.append((name, HIDDEN if secret else values[name], info.description or ""))
    return shown


@app.command()
def demo(
    context: typer.Context,
    decide: Annotated[
        str | None,
        typer.Option(metavar="DECISION", help='approve, reject or "edit name=value …"; asks you when not given.'),
    ] = None,
) -> int:
    """Play the main job with the sample hotel: ask, pause, decide in a new process, act once."""
    from dojang.cli.demo import Play

    return Play(invocation(context), decide).perform()
