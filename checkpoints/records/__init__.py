"""What the gate writes into a session's folder: decisions, effects and their leases, notices."""
