"""The roles of the server, from least to most, and which of them may do what kind of thing."""

from __future__ import annotations

from typing import Final, Literal, get_args

Role = Literal["monitor", "agent", "viewer", "operator", "manager", "developer", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

Allowed = frozenset[str]
"""Roles of which a caller needs one."""
MEASURE: Final[Allowed] = frozenset(("monitor", "developer", "admin"))
"""Who may read the numbers. A ``monitor`` is a program, whose token lies on another machine: it sees nothing else."""
AGENT: Final = "agent"
"""A program that asks, over MCP, and sees its own threads. Whatever else stands on its token, it decides nothing."""
SEE: Final[Allowed] = frozenset(ROLES) - {"monitor", AGENT}
ASK: Final[Allowed] = frozenset(("operator", "manager", "developer", "admin"))
TALK: Final[Allowed] = ASK | {AGENT}
"""Who may come over MCP."""
DECIDE: Final[Allowed] = frozenset(("operator", "manager", "admin"))
"""Who may claim, decide and undo; the policy has its say as well. A developer builds the agent, and has none."""
STEER: Final[Allowed] = frozenset(("developer", "admin"))
"""Who may change where a thread goes on: copies, forks, updates of its state."""
CURATE: Final[Allowed] = frozenset(("manager", "developer", "admin"))
"""Who sends documents and takes them out, and looks at adapters, datasets and what rules would have said."""
OVERSEE: Final[Allowed] = frozenset(("manager", "admin"))
"""Who reads and checks what others did, and takes a champion back."""
ADMINISTER: Final[Allowed] = frozenset(("admin",))
EVERY_THREAD: Final[Allowed] = frozenset(("manager", "developer", "admin"))
"""Who sees threads that others asked in."""
