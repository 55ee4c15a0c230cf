"""The hash-chained, signed record of who saw what, decided what and what came of it, and its offline check."""
