# `make train` and `make test` are all the set-up there is: they create .venv, install into it once, and run.
PYTHON ?= python3.11
ARGS ?=
BIN := .venv/bin
# The newest run of the default experiment, for `make picture`.
RUN ?= $(lastword $(sort $(wildcard runs/move_to_beacon-*)))

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install install-dev train test conformance lint docs picture

install: .venv/.installed

install-dev: .venv/.installed-dev

# torch first: alone it settles which build the rest must suit.
.venv/.installed: pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable .
	$(BIN)/python -m envs.standin
	touch $@

# What tests, linters, StarCraft II and Ray need besides.
.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[dev,docs,starcraft,cluster]'
	touch $@

train: install
	$(BIN)/python train_agent.py $(ARGS)

test: install-dev
	$(BIN)/python -m pytest $(ARGS)

# PySC2's own tests of the game, against the stand-in game: docs/conformance.md
conformance: install-dev
	$(BIN)/python -m tests.conformance $(ARGS)

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

# The documentation site, built with no warning and served at http://127.0.0.1:8000.
docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --quiet

picture: install
	@test -n "$(RUN)" || { echo "no run of the default experiment yet: make train, or make picture RUN=runs/NAME"; exit 2; }
	$(BIN)/perceiver-rl watch $(RUN) --sampled --video docs/images/move_to_beacon.gif --fps 8
