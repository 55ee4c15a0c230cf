"""How one turn of the agent is got out of a model: by reading, by number under a grammar, from an endpoint."""
