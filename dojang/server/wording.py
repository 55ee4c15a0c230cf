"""Which language a page is in, and the texts that code (not a template) writes in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from babel.core import negotiate_locale
from markupsafe import Markup, escape
from starlette.requests import Request

from dojang.language import catalogue, locale_language
from dojang.messages import told
from dojang.server.clean import clean
from dojang.settings import Settings
from dojang.times import moment
from dojang.vocabulary import N_
from state import DecisionType, Language

COOKIE: Final = "dojang_lang"
LANGUAGES: Final[tuple[Language, ...]] = ("ko", "en")

DECISIONS: Final[dict[DecisionType, str]] = {
    "approve": N_("Approve"),
    "edit": N_("Edit"),
    "reject": N_("Reject"),
    "answer": N_("Answer"),
}
MARKS: Final = {
    "approve": N_("APPROVED"),
    "edit": N_("EDITED"),
    "reject": N_("REJECTED"),
    "answer": N_("ANSWERED"),
    "expire": N_("EXPIRED"),
}
"""What a seal says."""
CHIPS: Final[dict[str, str]] = {
    "wrong scope": N_("wrong scope"),
    "wrong data": N_("wrong data"),
    "unsafe": N_("unsafe"),
    "not needed": N_("not needed"),
    "policy": N_("policy"),
    "other": N_("other"),
}
"""Reasons of a rejection: what the record keeps, and what the page says."""
_CHIP: Final = re.compile(rf"(: )({'|'.join(CHIPS)})(?=[:.]|$)")
PUT_OFF: Final = {"half": N_("for half an hour"), "two": N_("for two hours"), "morning": N_("until tomorrow at nine")}
"""For how long a review can be put off."""
NODES: Final = {
    "intake": N_("request"),
    "retrieve": N_("search"),
    "generate": N_("generate"),
    "comply": N_("policy check"),
    "review": N_("review"),
    "act": N_("run"),
    "answer": N_("answer"),
}
TRUSTS: Final = {"trusted": N_("house document"), "untrusted": N_("untrusted source")}
SCORES: Final = {"fused": N_("score"), "vector": N_("vector"), "lexical": N_("word match")}


def language_of(request: Request, settings: Settings) -> Language:
    """By ?lang=, then cookie, then an explicit setting, then the browser's wish, then the machine's locale."""
    for wish in (request.query_params.get("lang"), request.cookies.get(COOKIE), settings.language):
        if wish in LANGUAGES:
            return wish
    found = negotiate_locale(_accepted(request.headers.get("accept-language", "")), list(LANGUAGES), sep="-")
    return cast(Language, found) if found else locale_language()


def _accepted(header: str) -> list[str]:
    """The languages of an Accept-Language header, most wanted first; what cannot be read is passed over."""
    wishes: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), tag.strip().lower()))
        except ValueError:
            continue
    return [tag for weight, tag in sorted(wishes, key=lambda wish: wish[0]) if weight < 0 and tag]


class Say:
    """What a page says in its reader's language: ``say("Decided by %(who)s", who=name)``."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._translations = catalogue("console", language)

    def __call__(self, text: str, **values: Any) -> Markup:
        """A text of the catalogue, with every value cleaned and escaped."""
        translated = Markup(self._translations.gettext(text))
        return translated % {k: escape(clean(str(v))) for k, v in values.items()} if values else translated

    def told(self, text: str) -> str:
        """A finished English message of the parts below; raw, the template escapes it."""
        return told(text, self.language)

    def moment(self, at: str, *, seconds: bool = False) -> str:
        """An ISO 8601 time on this machine's clock."""
        return moment(at, self.language, seconds=seconds)


def sayer(language: Language) -> Say:
    """The translator of a page."""
    return Say(language)


def label(say: Say, table: Mapping[Any, str], key: str) -> str:
    """The name of a vocabulary word on a page; a word that is not in the table is shown as it is."""
    return say(table[key]).unescape() if key in table else key


def titled(say: Say, table: Mapping[Any, str], key: str) -> str:
    """As :func:`label`, beginning with a capital, for a word that stands alone."""
    word = label(say, table, key)
    return word[:1].upper() + word[1:]


def why_told(say: Say, text: str) -> str:
    """Why a call was not carried out: a message of the parts below, with the ready-made reasons of the page in it."""
    told_ = say.told(text)
    return _CHIP.sub(lambda found: found[1] + label(say, CHIPS, found[2]), told_, count=1)


def ago(say: Say, at: str, now: datetime) -> str:
    """How long since an ISO 8601 time, in the largest unit."""
    return _span(say, max(0.0, (now - _time(at, now)).total_seconds())).unescape()


def countdown(say: Say, at: str, now: datetime) -> tuple[str, bool]:
    """(time left until an ISO 8601 time, whether it has passed)."""
    left = (_time(at, now) - now).total_seconds()
    if left < 0:
        return say("overdue %(span)s", span=_span(say, -left)).unescape(), True
    return _span(say, left).unescape(), False


def _span(say: Say, seconds: float) -> Markup:
    if seconds < 60:
        return say("%(n)s s", n=int(seconds))
    if seconds < 3600:
        return say("%(n)s min", n=int(seconds // 60))
    if seconds < 86_400:
        return say("%(n)s h", n=int(seconds // 3600))
    return say("%(n)s d", n=int(seconds // 86_400))


def _time(at: str, fallback: datetime) -> datetime:
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        return fallback
