"""How a thing shows itself: as text in a terminal, as HTML in a notebook. Knows the templates and nothing of runs."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, FileSystemLoader
from markupsafe import Markup

from dojang.server.console.desk import environment as of_the_console
from dojang.server.wording import sayer, titled
from dojang.vocabulary import EFFECTS, STATUSES
from state import Language

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"


@lru_cache
def environment(language: Language) -> Environment:
    """Our templates in front of the console's, with the console's cleaning, escaping, words and filters."""
    console = of_the_console(language)
    say = sayer(language)
    theirs = [console.loader] if console.loader is not None else []
    made = console.overlay(loader=ChoiceLoader([FileSystemLoader(HERE / "templates"), *theirs]))
    made.globals = {**console.globals, "sheet": sheet()}
    made.filters = {
        **console.filters,
        "status": partial(titled, say, STATUSES),
        "effect": partial(titled, say, EFFECTS),
    }
    return made


@lru_cache
def sheet() -> Markup:
    """The style sheet of everything that we show; it touches only what stands in our own boxes."""
    return Markup((STATIC / "card.css").read_text(encoding="utf-8"))


def part(language: Language, template: str, **context: Any) -> Markup:
    """A piece of markup, made by a template."""
    return Markup(environment(language).get_template(template).render(context))


class Shown:
    """Something with a text and a box of HTML. ``language`` is the reader's."""

    language: Language

    def text(self) -> str:
        """For a terminal, and for whoever reads the notebook's file."""
        raise NotImplementedError

    def markup(self) -> Markup:
        """What stands in the box."""
        raise NotImplementedError

    def html(self) -> str:
        """The whole box, with its style."""
        return str(part(self.language, "box.html", lang=self.language, inside=self.markup()))

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}
