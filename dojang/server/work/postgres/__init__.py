"""Accepted runs in PostgreSQL: rows, events that any server can tell, and who looks at a run when (ADR 38)."""
