"""What every page handler has at hand: the workspace, the language of the request, and the templates."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request

from dojang.attachments import Given
from dojang.reading import as_read
from dojang.seeding import untold
from dojang.server.access.callers import Caller, workspace_of
from dojang.server.access.roles import ASK, OVERSEE, STEER
from dojang.server.access.tokens import redacted
from dojang.server.clean import clean
from dojang.server.console.assets import version
from dojang.server.console.filters import Chosen, Person
from dojang.server.console.frame import counts_of, frame_of
from dojang.server.console.told import Told, told_of
from dojang.server.programs import FILE, kind_of
from dojang.server.wording import (
    CHIPS,
    COOKIE,
    LANGUAGES,
    PUT_OFF,
    TRUSTS,
    Say,
    label,
    language_of,
    sayer,
    titled,
    why_told,
)
from dojang.vocabulary import SPEAKERS, STATUSES
from dojang.workspace import Workspace
from state import Language, Review, UserError

HERE: Final = Path(__file__).parent
SHEETS: Final = (
    *("tokens", "base", "layout", "list", "item", "stamp", "bar", "forms", "talk", "tables", "way", "places", "bulk"),
    "halt",
)
"""Style sheets of every page, ``static/css/``, in the order in which they are read."""
MODULES: Final = tuple(sorted(path.stem for path in (HERE / "static" / "js").glob("*.js") if path.stem != "console"))
"""Scripts that ``console.js`` imports: asked for at once, not one after the other."""
EVERYTHING: Final = Chosen()
YEAR_S: Final = 365 * 24 * 3600


class BadForm(UserError):
    """What was posted is no form of ours."""


def _finalize(value: object) -> object:
    """Every expression of every template goes through here: text is cleaned before it is escaped."""
    if isinstance(value, Markup):
        return value
    return clean(value) if isinstance(value, str) else value


@lru_cache
def environment(language: Language) -> Environment:
    """The templates in one language, with autoescape on for all of them."""
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    say = sayer(language)
    env.globals.update(
        static=f"/static/{version()}",
        _=say,
        chips=CHIPS,
        put_off=PUT_OFF,
        lang=language,
        sheets=SHEETS,
        modules=MODULES,
    )
    env.filters["told"] = say.told
    env.filters["why"] = partial(why_told, say)
    env.filters["moment"] = say.moment
    env.filters["trust"] = partial(label, say, TRUSTS)
    env.filters["status"] = partial(label, say, STATUSES)
    env.filters["role"] = partial(titled, say, SPEAKERS)
    return env


class Desk:
    """One request's view of the workspace. Its methods block; call them from a worker thread."""

    def __init__(self, workspace: Workspace, request: Request) -> None:
        self.workspace = workspace
        self.request = request
        self.caller: Caller | None = getattr(request.state, "caller", None)  # None: somebody unknown
        self.language: Language = language_of(request, workspace.settings)
        self.say: Say = sayer(self.language)

    def page(
        self,
        template: str,
        *,
        section: str = "",
        chosen: Chosen = EVERYTHING,
        status: int = 200,
        counted: bool = True,
        **context: Any,
    ) -> HTMLResponse:
        """A rendered page with its frame.

        Args:
            template: its path under ``templates/``.
            section: which place of the frame it belongs to.
            chosen: to what its list is narrowed.
            status: of HTTP.
            counted: whether the frame counts reviews; not on a page that says that something is broken.
            context: what the template shows.
        """
        base = {
            "caller": self.caller,
            **self.may,
            "langs": [(code, self._in(code)) for code in LANGUAGES],
            "frame": frame_of(self.say, self.counts() if counted else None, section, chosen, self.caller.may)
            if self.caller
            else [],
            "section": section,
            "halted": self.workspace.paused if self.caller is not None else None,
            "back": self._back(),
            "checked": self.checked(),
            "chosen": chosen,
            "after": self.request.app.state.live.last,
            "now_ms": int(self.now.timestamp() * 1000),
        }
        html = environment(self.language).get_template(template).render({**base, **context})
        response = HTMLResponse(html, status_code=status, headers={"Content-Language": self.language})
        response.headers["Vary"] = "Accept-Language, Cookie"
        if self.request.query_params.get("lang") in LANGUAGES:
            response.set_cookie(COOKIE, self.language, max_age=YEAR_S, httponly=True, samesite="lax")
        return response

    @property
    def may(self) -> dict[str, bool]:
        """What this person may, as templates ask for it: a button that would be refused is not drawn."""
        asked = {"may_ask": ASK, "may_steer": STEER, "may_oversee": OVERSEE}
        known = {name: self.caller is not None and self.caller.may(roles) for name, roles in asked.items()}
        return {**known, "may_decide": self.caller is not None and self.caller.decides}

    def checked(self) -> list[Told]:
        """Seeded checks that this person has decided, and is told of on this page."""
        if self.caller is None or not self.caller.decides or self.request.method != "GET":
            return []
        return [told_of(one, self.say) for one in untold(self.workspace)]

    def part(self, template: str, **context: Any) -> Markup:
        """A part of a page, to be put into another one: markup, made by a template of ours."""
        base = {"chosen": EVERYTHING, "caller": self.caller, **self.may}
        return Markup(environment(self.language).get_template(template).render({**base, **context}))

    def read(self, review: Review) -> Review:
        """The review in the reader's language."""
        return as_read(review, self.workspace.describer, self.language)

    @property
    def now(self) -> datetime:
        """The server's clock."""
        return self.workspace.parts.clock.now()

    @property
    def person(self) -> Person:
        """Whose lists these are. A user whose roles nobody has said has them all."""
        roles = self.workspace.roles
        later = self.workspace.snoozes.of(self.workspace.user, self.now)
        known = roles if roles is not None else self.workspace.roles_above()
        return Person(self.workspace.user, tuple(known), tuple(later))

    @property
    def chosen(self) -> Chosen:
        """To what the address narrows the list."""
        return Chosen.of(self.request.query_params)

    def counts(self) -> dict[str, int] | None:
        """What the frame counts, of the index as it stands: a list brings it up to date, its counts do not."""
        return self.counted() if self.caller is not None else None

    def counted(self) -> dict[str, int]:
        """The same of somebody who is known."""
        return counts_of(self.workspace.parts.index, self.person, self.now)

    def _back(self) -> str:
        """Where somebody is who presses a button of the frame."""
        query = self.request.url.query
        here = self.request.url.path + (f"?{query}" if query else "")
        return self.workspace.parts.observer.scrub(redacted(here)) if self.request.method == "GET" else "/"

    def _in(self, code: Language) -> str:
        """This page's address in a language. A page that answered a POST has none of its own: its parent does."""
        here = self.request.url.path if self.request.method == "GET" else self.request.url.path.rpartition("/")[0]
        kept = [(k, v) for k, v in self.request.query_params.multi_items() if k != "lang"]
        return self.workspace.parts.observer.scrub(redacted((here or "/") + "?" + urlencode([*kept, ("lang", code)])))


def desk(request: Request) -> Desk:
    """FastAPI's way to a Desk."""
    if request.state.caller is None:  # a page that is open to everybody shows nothing of the workspace
        return Desk(request.app.state.workspace, request)
    return Desk(workspace_of(request), request)


async def posted(request: Request) -> Mapping[str, str]:
    """The fields of an HTML form; of a name that comes twice the last counts.

    Raises:
        BadForm: another content type, too many fields, or bytes that are not UTF-8.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise BadForm("a form is sent as application/x-www-form-urlencoded; open the page and send it from there")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=500, errors="strict"))
    except ValueError:
        raise BadForm("the form could not be read; open the page again and send it from there") from None


def dwell_ms(form: Mapping[str, str]) -> int | None:
    """How long the person looked at the page, in milliseconds; None when that cannot be told."""
    shown = form.get("shown", "")
    if not (shown.isascii() and shown.isdigit() and len(shown) < 16):
        return None
    spent = int(time.time() * 1000) - int(shown)
    return spent if 0 <= spent < 7 * 24 * 3_600_000 else None


AtDesk = Annotated[Desk, Depends(desk)]
Form = Annotated[Mapping[str, str], Depends(posted)]


MOST_FILES: Final = 20


class Filled(dict[str, str]):
    """The fields of a form, and the files that came with it."""

    files: list[Given]


async def posted_with_files(request: Request) -> Filled:
    """The fields of a form that may have files. BadForm."""
    filled = Filled()
    filled.files = []
    if kind_of(request.headers) != FILE:
        filled.update(await posted(request))
        return filled
    try:
        async with request.form(max_files=MOST_FILES, max_fields=50) as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    filled[name] = value
                elif value.filename:
                    filled.files.append((value.filename, await value.read()))
    except HTTPException:
        raise BadForm("the form could not be read; open the page again and send it from there") from None
    return filled


FormWithFiles = Annotated[Filled, Depends(posted_with_files)]
