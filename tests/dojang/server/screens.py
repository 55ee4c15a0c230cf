"""The console in the system's Chromium: a running server, a browser, and what a browser complains of.

Used by the tests of the bars, by ``make screenshots`` and by ``benchmarks/console.py``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from dojang.server import create_app
from dojang.server.serving import bind, server_for, url_of
from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.dojang.server.test_browser import CHROMIUM, FLAGS

SCRIPTS = files("axe_playwright_python").joinpath("axe.min.js")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BROKEN = "addEventListener('securitypolicyviolation', e => window.told(`${e.violatedDirective} ${e.blockedURI}`))"


@contextmanager
def running(workspace: Workspace, settings: Settings | None = None) -> Iterator[str]:
    """A server over a workspace on a free port of this machine, with what does its due; gives its address."""
    listener = bind("127.0.0.1", 0)
    app = create_app(workspace, settings=settings)
    server = server_for(app)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    with app.state.keeper:
        thread.start()
        try:
            yield url_of(listener).rstrip("/")
        finally:
            server.should_exit = True
            thread.join(20)
            listener.close()
    assert not thread.is_alive()


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
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said) else None)
    if options.get("java_script_enabled", True):
        page.expose_function("told", lambda text: complaints.append(f"policy: {text}"))
        page.add_init_script(BROKEN)
    try:
        yield page
    finally:
        context.close()


def _is_complaint(said: Any) -> bool:
    """Whether a line of the browser's console is one: a page that answers 409 is none."""
    return said.type in ("error", "warning") and "Failed to load resource" not in said.text


def violations(page: Any, *, only: list[str] | None = None) -> list[str]:
    """What axe-core finds on a page, by rule and place. ``only``: the rules to try, all of WCAG 2.2 AA else."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPTS.read_text(encoding="utf-8"))
    asked = {"type": "rule", "values": only} if only else {"type": "tag", "values": WCAG}
    options = json.dumps({"runOnly": asked, "resultTypes": ["violations"], "preload": False})
    found = page.evaluate(f"axe.run({options}).then(r => r.violations)")
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]
