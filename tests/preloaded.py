"""What most processes of the tests import, for the server that they are forks of (``tests.processes``)."""

import gc
import importlib

from store.text.language import terms

gc.disable()
for name in (
    "dojang.cli.app",
    "dojang.server",
    "store.store",
    "tests.chaos.bare",
    "tests.chaos.ours",
    "tests.chaos.served",
    "tests.checkpoints.crash_child",
    "tests.checkpoints.rotation_child",
    "tests.dojang.notice_child",
    "tests.dojang.race_child",
):
    importlib.import_module(name)
terms("한국어")  # Kiwi's model: 1.4 s
gc.enable()
gc.freeze()  # a fork that looks through what all have imported would copy it
