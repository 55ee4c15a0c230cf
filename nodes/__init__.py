"""One file a step. A node reads the state, calls one port and returns the keys that it changed."""
