"""The console in the system's Chromium: a running server, a browser, and what a browser complains of.

Used by the tests of the bars, by ``make screenshots`` and by ``benchmarks/console.py``.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final

import pytest
from fastapi import FastAPI

from dojang.server import create_app
from dojang.server.serving import bind, server_for, url_of
from dojang.settings import Settings
from dojang.workspace import Workspace

Open = Callable[..., Any]
CHROMIUM: Final = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
of_browsers: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium fonts-noto-cjk"),
    # Playwright's own event loop keeps sockets that are closed when the process ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""``pytestmark`` of tests in a browser."""
PATIENCE_MS: Final = 15_000
"""How long something may take to show on a page."""
OWN_FAULTS: Final = (
    "Failed to load resource",
    "ERR_INTERNET_DISCONNECTED",
    "htmx:sendAbort",
    "htmx:afterRequest",
    "Autofocus processing",
)
"""What a browser says of answers such as 409, of a connection that was taken away, of a part of a page that is left."""
SCRIPTS = files("axe_playwright_python").joinpath("axe.min.js")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BROKEN = "addEventListener('securitypolicyviolation', e => window.told(`${e.violatedDirective} ${e.blockedURI}`))"


@contextmanager
def serving(
    workspace: Workspace, settings: Settings | None = None, *, due: bool = True
) -> Iterator[tuple[str, FastAPI]]:
    """A server over a workspace on a free port of this machine, with its workers; its address, and the application.

    ``due``: with what does at its time what is due, too.
    """
    listener = bind("127.0.0.1", 0)
    app = create_app(workspace, settings=settings)
    server = server_for(app)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    with ExitStack() as parts:
        parts.enter_context(app.state.work)
        if due:
            parts.enter_context(app.state.keeper)
        thread.start()
        try:
            yield url_of(listener).rstrip("/"), app
        finally:
            server.should_exit = True
            thread.join(20)
            listener.close()
    assert not thread.is_alive()


@contextmanager
def running(workspace: Workspace, settings: Settings | None = None) -> Iterator[str]:
    """The address of a server as :func:`serving` has it."""
    with serving(workspace, settings) as (address, _):
        yield address


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; contexts of it are profiles of their own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def profile(browser: Any, complaints: list[str], **options: Any) -> Iterator[Any]:
    """A page in a fresh profile; what the browser or the policy for content complains of goes into ``complaints``."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 820}, **options})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said) else None)
    if options.get("java_script_enabled", True):
        page.expose_function("told", lambda text: complaints.append(f"policy: {text}"))
        page.add_init_script(BROKEN)
    try:
        yield page
    finally:
        context.close()


def _is_complaint(said: Any) -> bool:
    """Whether a line of the browser's console is one."""
    return said.type in ("error", "warning") and not any(own in said.text for own in OWN_FAULTS)


def holds(found: Any, *texts: str | re.Pattern[str]) -> None:
    """Waits until a locator finds as many elements as texts, in that order: what a pattern finds, or the text itself.

    A click waits for the answer to a navigation, not for the page: ``all_inner_texts`` or ``count`` right after it see
    what has been read of the page so far, on a slow machine nothing.
    """
    from playwright.sync_api import expect

    expect(found).to_have_text(list(texts), timeout=PATIENCE_MS)


def violations(page: Any, *, only: list[str] | None = None) -> list[str]:
    """What axe-core finds on a page, by rule and place. ``only``: the rules to try, all of WCAG 2.2 AA else."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPTS.read_text(encoding="utf-8"))
    asked = {"type": "rule", "values": only} if only else {"type": "tag", "values": WCAG}
    options = json.dumps({"runOnly": asked, "resultTypes": ["violations"], "preload": False})
    found = page.evaluate(f"axe.run({options}).then(r => r.violations)")
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


@contextmanager
def tabs(browser: Any, site: str) -> Iterator[Open]:
    """Opens pages of a site, each in a fresh profile; any complaint of the browser fails whoever opened them."""
    complaints: list[str] = []
    with ExitStack() as opened:

        def tab(
            path: str, *, lang: str = "en-US", script: bool = True, size: tuple[int, int] = (1280, 820), **how: Any
        ) -> Any:
            view = {"width": size[0], "height": size[1]}
            options = {"locale": lang, "java_script_enabled": script, "viewport": view, "base_url": site, **how}
            page = opened.enter_context(profile(browser, complaints, **options))
            page.goto(path)
            return page

        yield tab
    assert complaints == []
