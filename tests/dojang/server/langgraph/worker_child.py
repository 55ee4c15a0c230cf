"""A worker in a process of its own, for a server that carries out nothing: ``dojang work`` with a model by rules.

``DOJANG_TEST_SILENT`` and ``DOJANG_TEST_LOG`` as in ``server_child``.
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
    sys.exit(main(["work"], open_workspace=opened))
