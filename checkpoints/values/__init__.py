"""How a channel's value becomes JSON and comes back: the list of types, messages, references, what is new."""
