"""What test_crypto kills while it rotates keys. A module of its own, so that a fork server imports it once."""

from __future__ import annotations

from multiprocessing.connection import Connection

from checkpoints import KeyRing
from checkpoints.upkeep.rotation import reseal


def rotate_until_killed(directory: str, keys: str, said: Connection) -> None:
    """Make new keys and seal both threads anew, for ever; say when it begins."""
    ring = KeyRing.load(keys)
    said.send("begun")
    while True:
        ring.rotate()
        for thread in ("a", "b"):
            reseal(directory, ring, thread)
