"""Tools of MCP servers, behind the same gate, ledger and policy as our own (ADR 34).

``config`` reads which servers there are, ``definitions`` what of them a person has accepted, ``link`` holds the
connections, ``results`` makes plain records of answers, and ``servers`` puts them together for the toolbox. What a
server says of itself (descriptions, annotations, instructions) is a stranger's text: it declares nothing here.
"""
