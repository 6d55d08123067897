# A fresh machine needs Python >= 3.11 and make. Everything else is installed inside the checkout.
PYTHON ?= python3
PIPENV_VERSION := 2026.10.3
VENV   := .venv
BIN    := $(VENV)/bin
OPS    := $(BIN)/python -m ops
CHECKOV := tools/checkov
export PATH := $(CURDIR)/$(BIN):$(PATH)
# pipenv installs into the checkout's own environment, whichever one is active in the caller's shell.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PIPENV_VERBOSITY := -1

.DEFAULT_GOAL := help
.PHONY: help setup installed up down dev status logs synth test lint audit lock

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST)) \
	  | sed -e 's/make down  */make down [PURGE=1]         /' -e 's/make logs  */make logs SERVICE=auth      /'

setup: $(VENV)/.synced node_modules/.installed  ## Install the pinned toolchain into the checkout

$(BIN)/pipenv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old: install Python 3.11 or newer, or name one: make setup PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pipenv==$(PIPENV_VERSION)

$(VENV)/.synced: Pipfile.lock | $(BIN)/pipenv
	$(BIN)/pipenv sync --dev
	@touch $@

node_modules/.installed: package-lock.json | $(VENV)/.synced
	npm ci --loglevel=error
	@touch $@

# What looks at a platform or ends it does not install one first.
installed:
	$(if $(wildcard $(VENV)/.synced),,$(error nothing is installed in this checkout yet: run `make setup` first))

up: setup  ## Start the whole platform on this machine, or bring it up to date
	@$(OPS) up

down: installed  ## Stop it; PURGE=1 removes its data too
	@$(OPS) down $(if $(PURGE),--purge)

dev: setup  ## Serve functions as they are saved, plan infrastructure changes, show all logs
	@$(OPS) dev

status: installed  ## Say what runs, where, and how it is
	@$(OPS) status

logs: installed  ## Show a service's latest log lines
	@$(OPS) logs $(or $(SERVICE),$(error name a service: make logs SERVICE=auth))

synth: setup  ## Write every environment's Terraform to cdktf.out/stacks/
	@$(OPS) synth

test: setup $(CHECKOV)/.venv/.synced  ## Run the tests on two workers; ARGS are passed on to pytest
	$(BIN)/python -m pytest -n 2 $(ARGS)

# checkov pins versions that the platform cannot live with.
$(CHECKOV)/.venv/.synced: $(CHECKOV)/Pipfile.lock | $(VENV)/.synced
	cd $(CHECKOV) && PIPENV_VENV_IN_PROJECT=1 PIPENV_IGNORE_VIRTUALENVS=1 pipenv sync
	@touch $@

lint: setup  ## Check style, types and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@mkdir -p .build
	@$(BIN)/pipenv requirements --from-pipfile --exclude-markers > .build/dependencies.txt
	@$(BIN)/pipenv requirements --from-pipfile --exclude-markers --dev-only > .build/dev-dependencies.txt
	$(BIN)/deptry . --config tools/deptry.toml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(BIN)/zizmor --quiet --offline --no-progress --min-severity medium .github

audit: setup  ## Ask what is known to be vulnerable among the locked dependencies
	@mkdir -p .build
	$(BIN)/pipenv requirements --dev > .build/locked.txt
	@# Strict: what could not be looked up has not been audited.
	$(BIN)/pip-audit --requirement .build/locked.txt --no-deps --disable-pip --strict

lock: setup  ## Resolve the dependencies again and pin them, without index addresses
	$(BIN)/pipenv lock
	cd $(CHECKOV) && PIPENV_VENV_IN_PROJECT=1 PIPENV_IGNORE_VIRTUALENVS=1 pipenv lock
	$(BIN)/python -m tools.lockfiles Pipfile.lock
	$(BIN)/python -m tools.lockfiles $(CHECKOV)/Pipfile.lock
	npm install --package-lock-only --loglevel=error
	$(BIN)/python -m tools.lockfiles package-lock.json
	$(MAKE) setup
