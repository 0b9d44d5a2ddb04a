# Only make and Python 3.11 or newer are needed beforehand.
# Another Python: make PYTHON=/path/to/python3.12 test
PYTHON ?= python3
ARGS ?=
# Three for each core, since tests also wait: with two for each, a sixth of the cores' time is unused.
JOBS ?= $(shell expr `getconf _NPROCESSORS_ONLN` \* 3)

BIN := .venv/bin
UV := $(BIN)/python -m uv
export UV_PYTHON_DOWNLOADS := never
# If it is set, every program that a test starts compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

# Stamps live inside .venv, so that removing it removes them too.
VENV := .venv/.with-$(subst /,-,$(PYTHON))
DEMO := .venv/.demo
DEV := .venv/.dev
AIRFLOW := .venv-airflow/.dev

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all test-core test-airflow airflow check fmt constraints bench soak clean

help: ## list these recipes
	@sed -n 's/^\([a-z-]*\):.* ## /  make \1|/p' Makefile | awk -F'|' '{printf "%-21s%s\n", $$1, $$2}'

demo: $(DEMO) ## replicate a made-up table into DuckDB, on this machine only
	@$(BIN)/connector demo $(ARGS)

# A process that the tests leave behind is named and ended, and counts as a failure.
TESTS = -m tests.rigs.leftovers -m pytest -n $(JOBS) --dist loadgroup

test test-core: export TEST_COMBINATIONS := by-turns

test: $(AIRFLOW) ## run all tests, combinations by turns, e.g. make test ARGS='-k spool -x'
	@NEEDS_AIRFLOW=1 .venv-airflow/bin/python $(TESTS) $(ARGS)

test-all: $(AIRFLOW) ## run all tests in every combination
	@NEEDS_AIRFLOW=1 .venv-airflow/bin/python $(TESTS) $(ARGS)

test-core: $(DEV) ## run the tests that need no Airflow, combinations by turns
	@$(BIN)/python $(TESTS) --ignore=tests/airflow $(ARGS)

test-airflow: $(AIRFLOW) ## run the tests of the DAGs, with a real Airflow
	@NEEDS_AIRFLOW=1 .venv-airflow/bin/python $(TESTS) tests/airflow $(ARGS)

airflow: $(AIRFLOW) ## install Airflow and the connector into .venv-airflow
	@echo "Now: . .venv-airflow/bin/activate" >&2

check: $(DEV) ## lint, and check the formatting and the types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fmt: $(DEV) ## format, and fix what can be fixed
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(DEV) ## measure throughput
	@$(BIN)/python -m benchmarks $(ARGS)

soak: $(DEV) ## run for a long time, with faults
	@$(BIN)/python -m benchmarks.soak $(ARGS)

constraints: $(VENV) ## pin the newest versions of everything in constraints.txt
	rm -f uv.lock
	$(UV) lock
	$(UV) export --quiet --frozen --no-emit-project --no-annotate --no-header \
	  --all-extras --all-groups --format requirements-txt --output-file constraints.txt
	rm -f uv.lock

clean: ## remove the environments and the caches
	rm -rf .venv .venv-airflow .mypy_cache .pytest_cache .ruff_cache .hypothesis

# pip checks uv's own hash; uv then refuses every package without a matching one.
$(VENV): constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
	  "connector needs Python 3.11 or newer, and '$(PYTHON)' is not: try make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -e $@ || $(PYTHON) -m venv --clear .venv
	@sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@touch $@

# An existing environment may contain the project under its former name; Airflow would take it for
# a second provider.
INSTALL = $(UV) pip install --quiet --python $(@D)/bin/python --compile-bytecode
define install
	@echo "Installing the versions pinned in constraints.txt into $(@D)" >&2
	@$(INSTALL) --require-hashes --constraint constraints.txt -r pyproject.toml --group build $(1)
	@$(UV) pip uninstall --quiet --python $(@D)/bin/python connector
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(DEMO): $(VENV) pyproject.toml constraints.txt
	$(call install,--extra demo)

$(DEV): $(VENV) pyproject.toml constraints.txt
	$(call install,--extra demo --extra postgres --extra ion --group dev)

# A separate environment: Airflow more than doubles what a developer has to install.
$(AIRFLOW): $(VENV) pyproject.toml constraints.txt
	@test -e .venv-airflow/bin/python || $(UV) venv --quiet --python $(BIN)/python .venv-airflow
	$(call install,--all-extras --group dev)
