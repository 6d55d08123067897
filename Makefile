# Requires Python >= 3.11 and make. Everything else is installed inside the checkout.
PYTHON ?= python3
PIPENV_VERSION := 2026.10.3
VENV   := .venv
BIN    := $(VENV)/bin
OPS    := $(BIN)/python -m ops
# All groups of the Pipfile except dev-packages, the group of the tests
GROUPS := packages synthesis local
CHECKOV := tools/checkov
API    := tools/api
POSTGRESQL := tools/postgresql
CDKTN  := tools/cdktn
SBOM   := tools/sbom
DOCS   := tools/docs
FRONT_END := tests/e2e/front_end
DOCS_TOOLS := $(DOCS)/.venv/.synced $(DOCS)/node_modules/.installed
TEST_TOOLS := $(CHECKOV)/.venv/.synced $(API)/node_modules/.installed $(DOCS_TOOLS) \
  $(CDKTN)/.venv/.synced $(FRONT_END)/node_modules/.installed
TOOLCHAIN := $(VENV)/.synced $(BIN)/ops node_modules/.installed
PYTHON_LOCKS := $(CHECKOV) $(DOCS) $(CDKTN) $(SBOM)
NODE_LOCKS := . $(API) $(DOCS) $(POSTGRESQL) $(CDKTN) $(FRONT_END)
OWN_VENV := PIPENV_VENV_IN_PROJECT=1 PIPENV_IGNORE_VIRTUALENVS=1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Makes pipenv use the checkout's environment instead of one active in the caller's shell.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# The empty value lets the processes of the tests write and reuse bytecode, even if the caller's
# shell sets this variable.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
export PIPENV_VERBOSITY := -1

# npm opens hundreds of files at once. Shells on macOS allow 256 unless a program asks for more.
OPEN_FILES := ulimit -S -n 4096 2>/dev/null || [ $$(ulimit -n) -ge 1024 ] || { \
  echo "this shell allows only $$(ulimit -n) open files: allow 1024 with 'ulimit -n 1024'"; exit 1; };

# Makes the files in TARGETS, after waiting until no other installation runs in this checkout.
INSTALL = $(or $(wildcard $(BIN)/python),$(PYTHON)) tools/exclusively.py .build/setup.lock \
  $(MAKE) --no-print-directory install

.DEFAULT_GOAL := help
.PHONY: help setup install cdktn installed up down dev status logs synth generate test nightly types docs lint audit sbom lock

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' \
	  $(firstword $(MAKEFILE_LIST)) \
	  | sed -e 's/make down  */make down [PURGE=1]         /' \
	    -e 's/make logs  */make logs SERVICE=auth      /' \
	    -e 's/make test  */make test [ARGS=...]        /'

setup:  ## Install the locked toolchain into the checkout
	@[ -x $(BIN)/pipenv ] \
	  || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old: install Python 3.11 or newer, or select it:" \
	    "make setup PYTHON=python3.11"; exit 1; }
	@+$(INSTALL) TARGETS="$(TOOLCHAIN)"

install: $(TARGETS)
	@:

$(BIN)/pipenv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pipenv==$(PIPENV_VERSION)

$(VENV)/.synced: Pipfile.lock | $(BIN)/pipenv
	$(BIN)/pipenv sync --all
	@touch $@

$(BIN)/ops: | $(VENV)/.synced
	@ln -sf ../../tools/ops $@

node_modules/.installed: package-lock.json | $(VENV)/.synced
	$(OPEN_FILES) npm ci --loglevel=error
	@touch $@

cdktn: setup  ## Install CDK Terrain, which PLATFORM_CDK=cdktn selects
	@+$(INSTALL) TARGETS="$(CDKTN)/.venv/.synced $(CDKTN)/node_modules/.installed"

# Commands that inspect or stop the platform do not install the toolchain.
installed:
	$(if $(wildcard $(VENV)/.synced),,$(error the toolchain is not installed: run `make setup` first))

up: setup  ## Start the platform on this machine, or update the running one
	@$(OPS) up

down: installed  ## Stop the platform and keep its data; PURGE=1 deletes the data
	@$(OPS) down $(if $(PURGE),--purge)

dev: setup  ## Deploy functions on save, plan infrastructure changes, show all logs
	@$(OPS) dev

status: installed  ## Show the processes, URLs and health of the platform; fail if it is unhealthy
	@$(OPS) status

logs: installed  ## Show the latest log lines of one service
	@$(OPS) logs $(or $(SERVICE),$(error SERVICE is missing: make logs SERVICE=auth))

synth: setup  ## Write the Terraform files of all environments to cdktf.out/stacks/
	@$(OPS) synth

generate: setup  ## Write the documentation, schemas and policies that follow from the code
	@$(BIN)/python -m tools.generate

test: setup  ## Run the tests on three workers; ARGS are arguments for pytest
	@+$(INSTALL) TARGETS="$(TEST_TOOLS)"
	$(PYTEST) -n 3 $(ARGS)

nightly: setup cdktn  ## Run the tests that take too long for every change
	@+$(INSTALL) TARGETS="$(TEST_TOOLS) $(POSTGRESQL)/node_modules/.installed"
	$(PYTEST) -n 0 -m nightly $(ARGS)

docs: setup  ## Build the documentation as a site in .build/docs
	@+$(INSTALL) TARGETS="$(DOCS_TOOLS)"
	$(DOCS)/.venv/bin/sphinx-build -q -W --keep-going -c $(DOCS) . .build/docs
	@echo "Open .build/docs/README.html"

# Some tools have a separate environment: those that only tests or documentation need, and checkov,
# which requires other versions of the platform's dependencies.
tools/%/.venv/.synced: tools/%/Pipfile.lock | $(VENV)/.synced
	cd tools/$* && $(OWN_VENV) pipenv sync
	@touch $@

%/node_modules/.installed: %/package-lock.json | $(VENV)/.synced
	cd $* && $(OPEN_FILES) npm ci --ignore-scripts --loglevel=error
	@touch $@

types: setup  ## Write the types of TypeScript clients to tools/api/openapi.d.ts
	@+$(INSTALL) TARGETS="$(API)/openapi.d.ts"

$(API)/openapi.d.ts: docs/api/openapi.json $(API)/package.json $(API)/node_modules/.installed
	npm --prefix $(API) run --silent types -- $(CURDIR)/$< --output $(CURDIR)/$@

# Runs the package's install script, which creates symbolic links to the server's libraries. The
# rule for other folders passes --ignore-scripts.
$(POSTGRESQL)/node_modules/.installed: $(POSTGRESQL)/package-lock.json | $(VENV)/.synced
	cd $(POSTGRESQL) && npm ci --loglevel=error
	@touch $@

lint: setup  ## Check style, types, imports, dependencies and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@mkdir -p .build
	@$(BIN)/pipenv requirements --from-pipfile --exclude-markers --categories "$(GROUPS)" \
	  > .build/dependencies.txt
	@$(BIN)/pipenv requirements --from-pipfile --exclude-markers --dev-only \
	  > .build/dev-dependencies.txt
	$(BIN)/deptry . --config tools/deptry.toml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(BIN)/zizmor --quiet --offline --no-progress --min-severity medium .github

audit: setup  ## Check the locked Python packages for known vulnerabilities
	@mkdir -p .build
	$(BIN)/pipenv requirements --categories "$(GROUPS) dev-packages" > .build/locked.txt
	@# --strict fails if a dependency cannot be audited.
	$(BIN)/pip-audit --requirement .build/locked.txt --no-deps --disable-pip --strict

sbom: setup  ## List what a release ships in .build/sbom and docs/licences.md
	@+$(INSTALL) TARGETS="$(SBOM)/.venv/.synced"
	$(BIN)/python -m tools.sbom

lock: setup  ## Update the lock files from Pipfile and package.json
	$(BIN)/pipenv lock
	for folder in $(PYTHON_LOCKS); do (cd $$folder && $(OWN_VENV) pipenv lock) || exit 1; done
	for folder in $(NODE_LOCKS); do \
	  (cd $$folder && npm install --package-lock-only --ignore-scripts --loglevel=error) || exit 1; \
	done
	$(BIN)/python -m tools.lockfiles $(addsuffix /Pipfile.lock,. $(PYTHON_LOCKS)) \
	  $(addsuffix /package-lock.json,$(NODE_LOCKS))
	@$(BIN)/python -m tools.lock_changes $(addsuffix /Pipfile.lock,. $(PYTHON_LOCKS)) \
	  $(addsuffix /package-lock.json,$(NODE_LOCKS))
	$(MAKE) setup
