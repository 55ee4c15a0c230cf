"""Webhooks: what came of a run is told to an address that its client named, signed, at least once.

A delivery is a row beside its run (:mod:`outbox`), made with it; :mod:`addresses` says where it may go, :mod:`posting`
posts it, and :mod:`telling` does so until it is taken, or given up.
"""
