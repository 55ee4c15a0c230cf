"""PostgreSQL's life: a data directory, its server, who uses it, backups. Knows no document."""
