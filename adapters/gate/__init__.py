"""The gate: whether a candidate is better than the champion on held-out decisions, by rules noted beforehand (ADR 18).

Pure but for ``replies``, ``rules`` and ``report``, which each keep a file; who is compared is said by the caller.
"""
