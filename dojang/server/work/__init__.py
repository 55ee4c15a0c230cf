"""Runs that outlive a request and a process: accepted in a file, carried out by threads, told as numbered events.

Knows no HTTP. What a run does is the workspace's: the same lock, door, ledger and audit as everybody's.
"""

from dojang.server.work.order import Order
from dojang.server.work.row import QueueFull, Row, Strategy, UnknownRun
from dojang.server.work.work import Work

__all__ = ["Order", "QueueFull", "Row", "Strategy", "UnknownRun", "Work"]
