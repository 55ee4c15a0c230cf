"""People who log in with an OpenID provider: the provider itself, who its people are here, their sessions.

Knows nothing of pages. docs/access.md is the contract, ADR 23 has the reasons.
"""
