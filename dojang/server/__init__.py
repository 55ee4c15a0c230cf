"""The web shell: pages for operators, a small JSON API, and the guards in front of both.

``create_app(workspace)`` gives the FastAPI application, ``serve(settings)`` runs it. It works on the same files as the
commands do and keeps nothing of its own: no session, no cache, no cookie but the language.
"""

from dojang.server.app import create_app, serve

__all__ = ["create_app", "serve"]
