"""The live part of a card over a real kernel: by the messages that a browser sends, and by a click in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dojang.notebook.shown import STATIC
from tests.dojang.server.screens import CHROMIUM, FLAGS
from tests.dojang.workspaces import workspace_for

anywidget = pytest.importorskip("anywidget", reason="anywidget is not installed: pip install -e '.[notebook]'")
ROOT = Path(__file__).parents[3]
ASK = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from tests.dojang.workspaces import workspace_for
from dojang.notebook import Notebook
book = Notebook(workspace_for(Path({home!r}), {dsn!r}, undo_s={undo!r}))
run = book.ask("please book a room")
run
"""
HOST = """
<!doctype html><meta charset="utf-8"><div id="cell"></div><script type="module">
const heard = [];
window.sent = [];
let state = %s;
const model = {
  get: name => state[name], send: message => window.sent.push(message),
  on: (_name, call) => heard.push(call), off: () => {},
};
window.changed = fresh => { state = {...state, ...fresh}; heard.forEach(call => call()); };
const { default: widget } = await import(URL.createObjectURL(new Blob([state._esm], {type: "text/javascript"})));
document.head.append(Object.assign(document.createElement("style"), {textContent: state._css}));
widget.render({ model, el: document.getElementById("cell") });
</script>
"""
"""What a notebook page does for a widget, and no more: its state, its messages, its module."""
pytestmark = [pytest.mark.filterwarnings("default")]  # of the kernel client's own libraries


class Kernel:
    """A kernel that asked for a booking, and the widget that it opened."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.comm, self.state, self.bundles = "", dict[str, Any](), list[Any]()

    def execute(self, code: str) -> str:
        """Run a cell; what it wrote. What it displayed is kept."""
        parent, wrote = self.client.execute(code), ""
        while True:
            message = self._next(parent)
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", "\n".join(content.get("traceback", []))
            if kind == "comm_open" and "_esm" in content["data"]["state"]:
                self.comm, self.state = content["comm_id"], content["data"]["state"]
            elif kind in ("display_data", "execute_result"):
                self.bundles.append(content["data"])
            elif kind == "stream":
                wrote += content["text"]
            elif kind == "status" and content["execution_state"] == "idle":
                return wrote

    def tell(self, content: Any) -> dict[str, Any]:
        """What a browser's ``model.send`` does; the widget's state after it."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        self.client.shell_channel.send(message)
        while True:
            told = self._next(message["header"]["msg_id"])
            if told["msg_type"] == "comm_msg" and told["content"]["data"]["method"] == "update":
                self.state |= told["content"]["data"]["state"]
            elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                return self.state

    def _next(self, parent: str) -> Any:
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == parent:
                return message


@pytest.fixture
def kernel(tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        made = Kernel(client)
        made.execute(ASK.format(root=str(ROOT), home=str(tmp_path / "home"), dsn=postgres_dsn, undo=0))
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def decided(tmp_path: Path, dsn: str) -> Any:
    """What another process sees of the only review."""
    with workspace_for(tmp_path / "home", dsn) as opened:
        [row] = opened.threads()
        run = opened.thread(row["thread_id"])
        made = list(opened.parts.decisions.of(run.thread_id).values())
        return [(one["type"], one["channel"]) for one in made], [one["status"] for one in run.outcomes]


def test_the_messages_of_a_browser_decide_once(kernel: Kernel, tmp_path: Path, postgres_dsn: str) -> None:
    card, live = kernel.bundles
    assert "<button" not in card["text/html"]
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == kernel.comm
    assert kernel.state["_esm"] == (STATIC / "card.js").read_text(encoding="utf-8")
    review = kernel.execute("print(run.review.id, run.review.record['digest'])").split()
    form = dict(zip(("review", "digest"), review, strict=True))
    press = {"press": "approve", "form": form, "dwell_ms": 900}
    assert "Approve</button>" in kernel.tell({"press": "look"})["shown"]["markup"]
    first = kernel.tell(press)["shown"]
    assert "Approved by kim" in first["markup"]
    again = kernel.tell(press)["shown"]
    assert (again["markup"], again["turn"] > first["turn"]) == (first["markup"], True)
    assert decided(tmp_path, postgres_dsn) == ([("approve", "notebook")], ["done"])


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium fonts-noto-cjk")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_click_in_a_browser_decides(kernel: Kernel, tmp_path: Path, postgres_dsn: str) -> None:
    import json

    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    complaints: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def carried() -> None:
            """One message to the kernel and its answer back."""
            page.wait_for_function("window.sent?.length > 0")
            told = kernel.tell(page.evaluate("window.sent.shift()"))["shown"]
            page.evaluate("fresh => window.changed(fresh)", {"shown": told})

        page.set_content(HOST % json.dumps(kernel.state).replace("</", "<\\/"))
        carried()  # it looks when it is drawn
        page.locator("summary", has_text="Edit").click()
        page.locator("input[type=number]").fill("3")
        page.get_by_role("button", name="Show what changes").click()
        assert page.get_by_role("button", name="Show what changes").is_disabled()
        assert page.locator(".news").inner_text() == "Sent to the kernel…"
        carried()
        assert page.locator("del").inner_text() == "2"
        page.get_by_role("button", name="Send this edit").click()
        carried()
        assert page.locator(".sealed b").inner_text() == "Edited"
        assert page.locator("button").count() == 0
        page.screenshot(path=str(tmp_path / "card.png"))
        browser.close()
    assert complaints == []
    assert decided(tmp_path, postgres_dsn) == ([("edit", "notebook")], ["done"])
