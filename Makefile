# `make demo` and `make test` do everything on a machine that has git, make and Python 3.11 or later.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
# Processes that share the tests out: two, as CI has cores. JOBS=0 runs them in one.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.PHONY: demo test test-fast coverage lint lowest clean help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## phantoms, training, audit, report, heat maps, export: the whole path, in some minutes
	$(BIN)/python tools/demo.py --out $(DEMO)

test: $(VENV)/.test ## every test that CI runs
	$(PYTEST)

test-fast: $(VENV)/.test ## the tests to run on every change
	$(PYTEST) -m "not slow"

coverage: $(VENV)/.test ## the fast tests, with the lines they miss
	$(PYTEST) -m "not slow" --cov

lint: $(VENV)/.lint ## what pre-commit checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lowest: ## the fast tests on the lowest versions that setup.cfg allows, in an environment of their own
	$(PYTHON) tools/venv.py .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -e ".[test,jax]" --config-settings editable_mode=compat --constraint <($(PYTHON) tools/lowest.py)
	.venv-lowest/bin/python -m pytest -m "not slow"

clean: ## remove what make made, but not your runs
	rm -rf $(VENV) .venv-lowest $(DEMO) build dist *.egg-info

$(BIN)/python:
	$(PYTHON) tools/venv.py $(VENV)

# A stamp for each set of extras, so that a second run skips the install.
$(VENV)/.run: EXTRAS :=
$(VENV)/.test: EXTRAS := [test,jax]
$(VENV)/.lint: EXTRAS := [dev]
$(VENV)/.run $(VENV)/.test $(VENV)/.lint: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing semenet$(EXTRAS) into $(VENV): some minutes the first time"
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --quiet -e ".$(EXTRAS)" --config-settings editable_mode=compat
	touch $@
