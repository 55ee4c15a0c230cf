"""Adapters by the hash of their files, and which of them serves (ADR 16)."""
