# Two commands matter: `make demo` and `make test`. Everything is installed into .venv.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
# Packages are compiled at their first import (scripts/setup.sh), and what is compiled is kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=
DECIDE ?=
LANGUAGE ?=

.PHONY: demo test check lint style types tests docs bench chaos hosts elsewhere elsewhere-browser troubled fuzz transcript screenshots help
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-18s %s\n", $$1, $$2}' Makefile

.venv/run: pyproject.toml constraints.txt
	@bash scripts/setup.sh $(PYTHON) run

.venv/dev: pyproject.toml constraints.txt
	@bash scripts/setup.sh $(PYTHON) dev

demo: .venv/run ## install, then ask, pause, decide and act once, in the terminal
	@$(BIN)/dojang $(if $(LANGUAGE),--lang $(LANGUAGE)) demo $(if $(DECIDE),--decide "$(DECIDE)")

test: .venv/dev ## install, then lint, types and the whole test suite
	@bash scripts/system_packages.sh
	@$(MAKE) --no-print-directory check

check: style ## style, layers, types, tests: what CI runs (the layers are one of the tests)
	@$(MAKE) --no-print-directory -j2 types tests

lint: style ## style and layers
	$(BIN)/lint-imports

style: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

tests: .venv/dev
	$(BIN)/pytest -n $${DOJANG_TEST_JOBS:-3} --dist worksteal

bench: .venv/dev ## tables of figures with the peers beside us, in one run
	@for script in benchmarks/*.py; do echo; echo "== $$script"; $(BIN)/python $$script || exit 1; done

chaos: .venv/dev ## kill -9 at KILLS instants (1000 for the whole), effects counted outside, bare LangGraph beside us
	@KILLS=$${KILLS:-60} $(BIN)/python -m tests.chaos
	@KILLS=$${TURNS:-6} $(BIN)/python -m tests.chaos.turning

hosts: .venv/dev ## PostgreSQL, a server and four workers on hosts of their own that fail at TROUBLES instants (30); needs root
	@$(BIN)/python -m tests.hosts

elsewhere: .venv/dev ## the tests of the program, graph and flywheel over PostgreSQL, the SDK's with the workers in another process
	@DOJANG_TEST_SESSIONS=postgres DOJANG_TEST_WORKERS=elsewhere $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not browser" \
		tests/dojang tests/graph tests/flywheel

elsewhere-browser: .venv/dev ## those in a browser over PostgreSQL
	@DOJANG_TEST_SESSIONS=postgres $(BIN)/python -m pytest -q -n 2 --dist worksteal -m browser tests/dojang

PROMISES := undo races kinds expiry overlaps notices commands chat own_tools mcp_tools reading flags

troubled: .venv/dev ## the promises and the SDK's over PostgreSQL, the workers on four hosts that are killed, cut off and stopped in turn (SEED, PAUSE=1); needs root
	@$(BIN)/python -m tests.hosts.troubled $(PROMISES:%=tests/dojang/test_%.py) tests/dojang/server/langgraph $(ONLY)

fuzz: .venv/dev ## generated requests to every route, and in any order: EXAMPLES of each kind (200), a fresh seed
	$(BIN)/python -m tests.dojang.server.fuzz $${EXAMPLES:-200} $(SEED)

docs: .venv/dev ## the documentation as a site in build/site, to be opened from the disk; a broken link fails
	$(BIN)/zensical build --strict

transcript: .venv/run ## play the demo and write its output into the READMEs
	$(BIN)/python scripts/transcript.py

screenshots: .venv/dev ## pictures of the running console into docs/images, both languages
	$(BIN)/python scripts/screenshots.py
