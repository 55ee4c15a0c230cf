"""What an operator sees of a running Dojang: numbers, spans and log lines. Knows no page and no workspace (ADR 22).

Nothing in here may hold what people or the model said, an argument or a secret; labels are of closed sets.
"""
