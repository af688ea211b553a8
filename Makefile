# The commands of the project. Continuous integration and the git hooks call these and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The resolver has nothing to decide: the locks are complete and hashed.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

# dbt's templater opens a warehouse to compile against: an empty one, apart from any real one.
LINT_HOME := mkdir -p $(VENV)/lint/warehouse && TIDEWAITER_HOME=$(abspath $(VENV))/lint

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test test-slow check format bench bench-models detection serve docs lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.runtime: requirements.lock pyproject.toml
	@echo "Installing into $(VENV) (once, about two minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidewaiter needs Python 3.11 or later")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing the development tools into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.runtime ## Create .venv and install what a run needs
setup-dev: $(VENV)/.dev ## The same, with what checks and tests need

demo: $(VENV)/.runtime ## From synthetic (and, where present, real) extracts to scored tables
	@$(BIN)/tidewaiter demo

test: $(VENV)/.dev ## The test suite
	@$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadgroup

test-slow: $(VENV)/.dev ## The proofs that take minutes
	@$(BIN)/python -m pytest -m slow

check: $(VENV)/.dev ## Format, lint, types, import directions, SQL
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(LINT_HOME) $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests

format: $(VENV)/.dev ## Rewrite Python and SQL in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(LINT_HOME) $(BIN)/sqlfluff fix --disable-progress-bar dbt_project/models dbt_project/tests

bench: $(VENV)/.dev ## Measure the steps of a run; writes JSON and a table
	@$(BIN)/python tests/bench/run_steps.py
	@$(BIN)/python tests/bench/landing.py
	@$(BIN)/python tests/bench/synthetic.py
	@$(BIN)/python tests/bench/features.py --items 1000000 3000000 10000000
	@$(BIN)/python tests/bench/integrity.py --items 1000000 10000000

bench-models: $(VENV)/.dev ## Measure the models (speed; accuracy where the Korean set is) and write the page
	@$(BIN)/python tests/bench/models.py speed
	@$(BIN)/python tests/bench/models.py scenarios
	@test -z "$$TIDEWAITER_KOREA_DIR" || $(BIN)/python tests/bench/models.py korea
	@$(BIN)/python tests/bench/models.py write

detection: $(VENV)/.dev ## Try the integrity indicators on planted truth and write the page (hours; goes on where it stopped)
	@$(BIN)/tidewaiter integrity evaluate --seeds 20

serve: $(VENV)/.runtime ## Prefect and MLflow on loopback
	@$(BIN)/tidewaiter serve

docs: $(VENV)/.dev ## Regenerate docs/reference and build the dbt docs site
	@$(BIN)/python -m flows.reference
	@$(BIN)/tidewaiter transform --docs

lock: ## Resolve pyproject.toml into the two hashed locks (needs uv on the PATH)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" pyproject.toml --output-file requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" pyproject.toml --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock

clean: ## Remove the environment and everything a run wrote to ./data
	@rm -rf $(VENV) data
