"""A server in a process of its own: ``python -m tests.dojang.server.langgraph.server_child``; prints its address.

``DOJANG_TEST_DIE=ran`` kills it when a tool has committed and its outcome is not yet in the ledger;
``DOJANG_TEST_SILENT`` names a file: while it is there, the model does not answer. ``DOJANG_TEST_PORT``: where, for
clients that come again to the same address. ``DOJANG_TEST_LOG``: a file for what it says on stderr.
"""

from __future__ import annotations

import os
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from dojang.server import serve
from dojang.server.serving import end_process
from dojang.settings import load_settings
from dojang.workspace import Workspace
from nodes.ports import Generator
from tests.dojang.rehearsed_cli import PartsWithAccidents
from tests.dojang.workspaces import Rehearsed


class Silent(Rehearsed):
    def reply(self, messages: Any, **given: Any) -> Any:
        silent = Path(os.environ["DOJANG_TEST_SILENT"])
        while silent.exists():
            silent.with_suffix(".asked").touch()
            time.sleep(0.01)
        return super().reply(messages, **given)


class Parts(PartsWithAccidents):
    @cached_property
    def generator(self) -> Generator:
        return Silent()


if __name__ == "__main__":
    os.dup2(os.open(os.environ["DOJANG_TEST_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY), 2)
    settings = load_settings(port=int(os.environ.get("DOJANG_TEST_PORT", "0")))
    with Workspace(settings, parts=Parts(settings)) as workspace:
        whole = serve(settings, workspace=workspace, on_ready=lambda url: print(url, flush=True))
    if not whole:
        end_process()
