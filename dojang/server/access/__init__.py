"""Who asks over HTTP, and what they may: tokens, sessions of the console, the table of routes, limits.

Knows nothing of what a route does. docs/access.md is the contract, ADR 20 has the reasons.
"""
