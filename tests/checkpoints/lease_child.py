"""A process in the middle of a long effect: ``python -m tests.checkpoints.lease_child THREADS``, until it is killed."""

from __future__ import annotations

import sys
import time

from checkpoints import EffectLedger
from tests.checkpoints.audited import ACTION

if __name__ == "__main__":
    ledger = EffectLedger(sys.argv[1], beat_s=0.01)
    with ledger.lease("t", "k"):
        ledger.begin("t", "k", ACTION, "at_most_once")
        print("running", flush=True)
        time.sleep(600)
