"""From the sessions to training and back into service: reads session files, and calls ``adapters`` (ADR 16)."""
