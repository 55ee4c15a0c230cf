"""What can go wrong between us and the provider.

DojangError
├── PassingFault
│   └── ProviderFault      it cannot be reached, or answers what cannot be used
└── UserError
    ├── BadProvider        it is not what the settings say, or lacks what we need
    └── BadToken
        └── NotProven      what was presented proves nobody
            └── NoRole     somebody is proven, and has no role here
"""

from __future__ import annotations

from dojang.server.access.tokens import BadToken
from state import PassingFault, UserError


class ProviderFault(PassingFault):
    """The provider cannot be reached, or answers what cannot be used now."""


class BadProvider(UserError):
    """The provider is another one than the settings say, or cannot do what a log-in needs."""


class NotProven(BadToken):
    """A log-in, a token or a session of the provider that proves nobody. The text never repeats it."""


class NoRole(NotProven):
    """Somebody whom the provider knows and who has no role here."""
