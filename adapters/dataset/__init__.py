"""Decisions as training data: what a decision teaches, what is left out and why, and a frozen folder of it (ADR 16).

Pure but for ``folder``: points come from the caller, which has read the sessions, and so does what finds personal data.
"""
