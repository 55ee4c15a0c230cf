"""Korean and English for commands and pages: gettext catalogues, read from ``locales/<language>/<domain>.po``.

The catalogues are compiled when they are first used, so a checkout needs no build step. English is the language of the
sources. A domain is a reader: ``cli`` for commands, ``console`` for pages and for the cards of a
notebook; both fall back to the words that they share,
``vocabulary``. The errors and notes of the parts below are in ``messages``, by pattern: see :mod:`dojang.messages`.
"""

from __future__ import annotations

import gettext
import io
import locale
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

    from state import Language

Domain = Literal["cli", "console", "messages", "vocabulary"]

LOCALES = Path(__file__).parent / "locales"


@lru_cache
def catalogue(domain: Domain, language: Language) -> gettext.NullTranslations:
    """The translations of a domain; ``.gettext(text)`` gives the source text where there is none."""
    if language == "en":
        return gettext.NullTranslations()
    own = _compiled(domain, language)
    if domain != "vocabulary":
        own.add_fallback(_compiled("vocabulary", language))
    return own


def texts_of(domain: Domain, language: Language) -> dict[str, str]:
    """{message id: translation} of all that is translated."""
    return {str(m.id): str(m.string) for m in _read(domain, language) if m.id and m.string}


def _read(domain: Domain, language: Language) -> Catalog:
    from babel.messages.pofile import read_po  # a third of a command's imports, and English needs none of it

    with (LOCALES / language / f"{domain}.po").open("rb") as file:
        return read_po(file, locale=language, domain=domain)


def _compiled(domain: Domain, language: Language) -> gettext.GNUTranslations:
    from babel.messages.mofile import write_mo

    compiled = io.BytesIO()
    write_mo(compiled, _read(domain, language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def locale_language() -> Language:
    """Korean where the process runs under a Korean locale, else English."""
    name = locale.getlocale()[0] or ""
    return "ko" if name.lower().startswith(("ko", "korean")) else "en"
