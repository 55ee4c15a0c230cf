"""Adapters by the hash of their files, and which of them serves (ADR 16). Trains nothing and loads no weights.

::

    registry/
    ├── adapters/<16 digits>/    as PEFT wrote them, read-only; the name is the hash of the files
    ├── aliases/champion …       links for other programs; they follow the log
    ├── promotions.jsonl         what each alias named since when, by whom and why: the truth
    └── .lock

``folders`` keeps the adapters, ``log`` the promotions, ``aliases`` decides which adapter has which name.
"""
