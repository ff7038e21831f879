.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
READERS := .venv/.readers
SITE := .venv/.site
export PYTHONDONTWRITEBYTECODE ?=

.PHONY: help demo test soak venv lint docs bench clean

help:  ## Show these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(STAMP)  ## Run GFN2-xTB on examples/drugs.smi and look at the result
	@$(BIN)/python -m examples.demo

# Tests wait half of their time (for servers, deadlines and pauses): more workers than two cores.
WORKERS := 3

# What PostgreSQL itself decides, run on a second version, too.
SECOND_POSTGRES := 16
NEAR_POSTGRES := tests/eventstore/log/test_append.py tests/eventstore/log/test_append_only.py tests/eventstore/log/test_load.py tests/eventstore/log/test_limits.py tests/eventstore/log/test_read.py tests/eventstore/log/test_safe_head.py tests/eventstore/log/test_store_machine.py \
	tests/eventstore/archive/test_dump.py \
	tests/projections/compiler/test_law.py \
	tests/schema/test_migrations.py \
	tests/eventstore/database/test_roles_and_tenants.py

test: $(READERS)  ## Check style, types and imports, then run every test
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest -n $(WORKERS) --dist worksteal
	QFORGE_TEST_POSTGRES=$(SECOND_POSTGRES) $(BIN)/pytest -n $(WORKERS) --dist worksteal $(NEAR_POSTGRES)

soak: $(READERS)  ## Kill writers and servers for minutes (QFORGE_SOAK_SECONDS=120 for each test)
	$(BIN)/pytest -m soak -s

venv: $(READERS)  ## Make .venv and install everything into it

lint: $(STAMP)  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(SITE)  ## Build the site in build/site: pages, links and references are checked strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(STAMP)  ## Measure, and write benchmarks/results.md
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[xtb,hdf5,dev,bench]'
	$(BIN)/python -m benchmarks

clean:  ## Remove .venv and every cache
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("quantum-forge needs Python 3.11 or newer: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@echo "Installing Quantum Forge and what it needs into .venv: a minute or several, this once."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[xtb,hdf5,dev]'
	@$(BIN)/python -m quantum_forge.web.dashboard.vendor
	@touch $@

# What people read exports with: for the tests that do so, and too large for the demo.
$(READERS): $(STAMP)
	@echo "Installing the readers of exports, for the tests: a minute or several, this once."
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[readers]'
	@touch $@

$(SITE): $(STAMP)
	@echo "Installing what builds the site: a minute, this once."
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@
