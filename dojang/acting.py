"""Who acts in a home, and on what: the ground that all parts of a workspace stand on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dojang.origin import check_origin
from dojang.parts import Parts
from dojang.runs import Runs
from dojang.settings import Settings, load_settings
from dojang.speaking import Speaking


class Acting:
    """The parts of one home and the person for whom they are used."""

    def __init__(self, settings: Settings | None = None, *, parts: Parts | None = None) -> None:
        check_origin()
        self.settings = settings or load_settings()
        self.parts = parts or Parts(self.settings)
        self.user = self.settings.user
        self.roles: tuple[str, ...] | None = None if self.settings.roles is None else tuple(self.settings.roles)
        self._proven, self._decides = False, True
        self.speaking = Speaking(self.parts)
        self._runs = Runs(self.parts, self.speaking)
        self._listed: dict[str, list[str]] = {}

    def acting(self, user: str, roles: Sequence[str], *, decides: bool = True) -> Self:
        """The same workspace for somebody who has shown who they are: what they ask, see and decide is theirs.

        Nothing done through it bears another name, whatever a decision says of itself. Closing stays with this one.
        ``decides``: whether they have a say in reviews at all, in whatever form it comes.
        """
        acting = copy.copy(self)
        acting._decides = decides
        acting.user, acting.roles, acting._proven = user, tuple(roles), True
        acting._runs = self._runs.acting(user)
        return acting

    @property
    def decides(self) -> bool:
        """Whether they have a say in reviews at all."""
        return self._decides

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections and the embedded server's lease."""
        self.parts.close()

    def check_policy(self) -> None:
        """Read the rules now: a server with rules that it cannot read does not start; tools.rules.BrokenPolicy."""
        assert self.parts.policy.version

    def server_problems(self) -> list[str]:
        """Why MCP servers, or tools of theirs, are not offered to the model now; asks them. BrokenServers."""
        servers = self.parts.mcp
        return [] if servers is None else servers.current().problems()
