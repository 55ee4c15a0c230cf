"""Hosts of their own for processes of the tests: network namespaces, a PostgreSQL, a server and workers in them."""
