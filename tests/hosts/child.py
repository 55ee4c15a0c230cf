"""A process of a host: ``python -m tests.hosts.child`` carries out a command of ``dojang`` there, with the clerk of
``make chaos`` for a model and its three tools that pay.

``DOJANG_TEST_NETWORK``: the namespace of the host; ``DOJANG_TEST_HOST``: its name; ``DOJANG_TEST_OUTSIDE``: where
effects are counted; ``DOJANG_TEST_LOG``: a file for all that it says.
"""

from __future__ import annotations

import os
import random
import sys
import time
from typing import Final

from dojang.__main__ import main
from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.chaos import desk
from tests.chaos.ours import Clerk
from tests.dojang.workspaces import RehearsedParts
from tests.hosts.network import enter

BANK_S: Final = 0.3


def opened(settings: Settings) -> Workspace:
    return Workspace(settings, parts=RehearsedParts(settings, generator=Clerk()))


def takes_its_time(where: str) -> None:
    """A bank does, before and after it has paid: so that what befalls a worker befalls it in an effect now and then."""
    time.sleep(random.uniform(0.0, BANK_S))


if __name__ == "__main__":
    enter(os.environ["DOJANG_TEST_NETWORK"], name=os.environ["DOJANG_TEST_HOST"])
    said = os.open(os.environ["DOJANG_TEST_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    for number in (1, 2):
        os.dup2(said, number)
    host, _, port = os.environ["DOJANG_TEST_OUTSIDE"].rpartition(":")
    desk.OUTSIDE, desk.here = (host, int(port)), takes_its_time
    sys.exit(main(open_workspace=opened))
