"""The switch in the top bar: all runs stop between two steps, and go on as they were (ADR 26)."""

from __future__ import annotations

import re
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.console.desk import AtDesk, Form
from state import Conflict, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
PLACE: Final = re.compile(r"/([a-z][\w/.~%:-]*)?(\?[\w&=%.~:+-]*)?", re.ASCII)
"""An address of ours: the second character of one that leads elsewhere is a slash."""


@router.post("/pause")
def pause(desk: AtDesk, form: Form) -> Response:
    """Stop all runs: 303 to where the button was; 400 without a reason. Who finds them stopped has what they wanted."""
    try:
        desk.workspace.pause_all(form.get("why", ""))
    except Conflict:
        pass  # the banner says by whom
    except UserError as error:
        return desk.page("frame/error.html", status=400, code=400, text=desk.say.told(str(error)))
    return _back(form.get("back", ""))


@router.post("/go-on")
def go_on(desk: AtDesk, form: Form) -> Response:
    """Let all runs go on: 303 to where the button was."""
    try:
        desk.workspace.go_on_all()
    except Conflict:
        pass  # somebody was faster
    desk.request.app.state.keeper.wake()
    return _back(form.get("back", ""))


def _back(there: str) -> Response:
    return RedirectResponse(there if PLACE.fullmatch(there) else "/", status_code=303)
