"""``dojang work`` in a process of its own, with the model that follows rules; arguments as the command has them.

``DOJANG_TEST_SILENT``, ``DOJANG_TEST_DIE`` and ``DOJANG_TEST_LOG``: as ``server_child`` has them.
"""

from __future__ import annotations

import os
import sys

from dojang.__main__ import main
from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.dojang.server.langgraph.server_child import Parts


def opened(settings: Settings) -> Workspace:
    return Workspace(settings, parts=Parts(settings))


if __name__ == "__main__":
    os.dup2(os.open(os.environ["DOJANG_TEST_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY), 2)
    sys.exit(main(["work", *sys.argv[1:]], open_workspace=opened))
