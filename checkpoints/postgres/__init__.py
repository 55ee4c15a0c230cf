"""Sessions in PostgreSQL, for more than one machine: logs, checkpoints, locks (ADR 37)."""
