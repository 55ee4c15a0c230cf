"""What the agent may do, and the rules that say who must be asked.

A tool is a LangChain tool with a declared effect (`tools.effects`), gathered in a `tools.toolbox.Toolbox`; rules are a
TOML file read by `tools.policy`. This package imports `state` and nothing else of ours, and reads no environment.
"""
