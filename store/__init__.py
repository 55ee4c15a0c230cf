"""Documents: PostgreSQL's life, reading files, passages, vectors, search.

Importing this package imports nothing heavy; take what you need from its modules, for instance
``from store.store import DocumentStore``.
"""
