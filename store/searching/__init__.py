"""A question into one SQL statement, and what comes back."""
