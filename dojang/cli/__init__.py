"""The commands: one file for each group of nouns, put together in ``app``.

Command modules import the workspace inside their functions, so that ``dojang --help`` does not wait for it.
"""
