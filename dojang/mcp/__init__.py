"""Dojang as an MCP server: an agent elsewhere asks, sees what waits, and decides nothing (ADR 34)."""
