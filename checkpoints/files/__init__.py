"""Bytes on disk: framed and checksummed lines, durable files and folders, locks, sealing, repair. Knows no meaning."""
