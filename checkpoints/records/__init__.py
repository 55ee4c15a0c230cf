"""What is written into a session's folder beside its states: decisions, effects and leases, notices, prompts."""
