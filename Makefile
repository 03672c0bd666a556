# `make demo` and `make test` need nothing but Python 3.11+ and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo up test test-slow check format bench lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: $(VENV)/.installed  ## Install, sync a simulated StatBank, show what came of it
	$(BIN)/varro demo

up: $(VENV)/.installed  ## Run Postgres and the Dagster UI on your own tables
	$(BIN)/varro up

test: $(VENV)/.installed-dev  ## The default tests (under 5 minutes on 2 cores)
	$(BIN)/pytest -n 2 -m "not slow and not browser"

test-slow: $(VENV)/.installed-dev  ## The longer ones: crashes, a whole `dagster dev`, a real browser, a simulated year
	$(BIN)/pytest -n 2 --dist loadfile -m "slow or browser"

check: $(VENV)/.installed-dev  ## Lint, types, architecture, Dagster definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest varro_assets_tests/test_architecture.py
	$(BIN)/dg check defs

format: $(VENV)/.installed-dev  ## Format the code
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev .venv-predecessor/.installed  ## Side-by-side measurements; see docs/performance.md
	$(BIN)/python -m benchmarks

lock: $(VENV)/.installed-dev  ## Write the lock files anew from pyproject.toml
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header \
		pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
		pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean:  ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .venv-predecessor .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv-predecessor/.installed: benchmarks/predecessor.lock
	test -x .venv-predecessor/bin/python || $(PYTHON) -m venv .venv-predecessor
	.venv-predecessor/bin/pip --disable-pip-version-check --quiet install --no-deps -r benchmarks/predecessor.lock
	touch $@

$(VENV)/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps -r requirements.lock
	$(PIP) install --no-deps -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) install --no-deps -r requirements-dev.lock
	touch $@
