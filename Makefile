# Everything that is done to this repository, by name: `make` lists it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
CORE_COVERAGE ?= 100
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet
BUF := tools/buf/node_modules/.bin/buf
CODE := $(wildcard src tests bench examples)
PROTOS := $(sort $(wildcard proto/schedd/v1/*.proto))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### To use it

.PHONY: setup demo run
setup: .venv/.installed ## Make .venv with the pinned dependencies and schedd; again: nothing to do
	@:

demo: setup ## Run a real daemon on the example schedules for a while, and judge what it did
	@$(BIN)/python examples/demo.py $(ARGS)

run: setup ## Run the daemon in the foreground, until Ctrl-C (ARGS="--config FILE")
	@exec $(BIN)/schedd run $(ARGS)

##### To work on it

.PHONY: test soak bench coverage lint format docs docs-check check
test: setup ## Run the tests (ARGS="tests/core -k cron")
	@$(BIN)/python -m pytest -m "not soak" $(ARGS)

soak: setup ## Run the tests that take minutes
	@$(BIN)/python -m pytest -m soak --timeout=0 $(ARGS)

coverage: setup ## Hold the branch coverage of core/ by its own tests at 100 %, without vectors from elsewhere
	@SCHEDD_VECTORS=/nonexistent COVERAGE_FILE=build/coverage $(BIN)/python -m pytest -m "not soak" -q --no-header --cov=schedd.core --cov-branch \
	  --cov-report=term-missing:skip-covered --cov-fail-under=$(CORE_COVERAGE) tests/core

bench: .venv/.installed-bench ## Measure schedd beside its limits and its peers: a table, and JSON
	@$(BIN)/python -m bench $(ARGS)

lint: setup ## ruff, mypy --strict, the layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-logo

format: setup ## Format the code and apply the safe fixes
	@$(BIN)/ruff check --fix --exit-zero
	@$(BIN)/ruff format

docs: setup ## Regenerate what is made from the code: docs/configuration.md, systemd/schedd.toml
	@$(BIN)/python -m schedd.daemon.reference

docs-check: setup ## Is what is made from the code up to date?
	@$(BIN)/python -m schedd.daemon.reference --check

check: lint proto-check docs-check demo coverage test ## All that CI does

##### The contract: proto/ and what is generated from it

PROTOC = PATH="$(CURDIR)/build/proto-venv/bin:$$PATH" build/proto-venv/bin/python -m grpc_tools.protoc -Iproto -Ibuild/googleapis

.PHONY: proto proto-check proto-out proto-fresh proto-baseline
proto: proto-out ## Regenerate src/schedd/v1 from proto/
	@find src/schedd/v1 -name '*_pb2*' -delete
	@cp -r build/proto-out/schedd/v1/. src/schedd/v1

proto-check: proto-fresh $(BUF) ## Is proto/ clean, compatible with its baseline, and its generated code up to date?
	@$(BUF) lint
	@$(BUF) breaking proto --against proto/baseline.binpb
	@$(BUF) build proto --exclude-source-info -o build/proto-now.binpb
	@cmp -s build/proto-now.binpb proto/baseline.binpb || \
	  echo "proto/ has additions that its baseline does not protect yet; 'make proto-baseline' accepts them"

# The root of the output is that of the package path, so that imports read `from schedd.v1 import ...`; stubs of services only for the
# files that have some.
proto-out: build/googleapis/.copied build/proto-venv/.installed
	@rm -rf build/proto-out && mkdir -p build/proto-out
	@$(PROTOC) --python_out=build/proto-out --mypy_out=quiet:build/proto-out $(PROTOS)
	@$(PROTOC) --grpc_python_out=build/proto-out --mypy_grpc_out=quiet:build/proto-out $$(grep -l '^service ' $(PROTOS))

proto-fresh: proto-out
	@diff -rq --exclude=__init__.py --exclude=__pycache__ build/proto-out/schedd/v1 src/schedd/v1 || { \
	  echo "src/schedd/v1 is not what proto/ says: run 'make proto' and commit the result" >&2; exit 1; }

proto-baseline: build/googleapis/.copied $(BUF) ## Accept proto/ as it is as what later changes must not break
	@$(BUF) build proto --exclude-source-info -o proto/baseline.binpb

##### The rest

.PHONY: lock clean
lock: build/uv/.installed ## Pin the dependencies anew from pyproject.toml (ARGS=--upgrade for newer ones)
	@$(call pin,pyproject.toml -o requirements.lock)
	@$(call pin,pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock)
	@$(call pin,pyproject.toml --group dev --group bench -c requirements-dev.lock -o requirements-bench.lock)
	@$(call pin,--group proto -o requirements-proto.lock)

pin = build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" $(ARGS) $(1)

clean: ## Remove all that was made here, .venv too
	@rm -rf .venv build dist tools/buf/node_modules .coverage htmlcov
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests examples bench docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

##### Files

# A stamp is newer than what it was made from once all is installed: that is why a second run installs nothing.
# The locks are complete, so pip resolves nothing (--no-deps): an older pip would look for a release newer than the pinned one for an extra.
.venv/.installed: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "Installing the pinned dependencies into .venv"
	@$(BIN)/python $(PIP) install --no-deps --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.installed-bench: requirements-bench.lock .venv/.installed
	@$(BIN)/python $(PIP) install --no-deps --require-hashes --requirement requirements-bench.lock
	@touch $@

build/proto-venv/.installed: requirements-proto.lock | build/proto-venv/bin/python
	@echo "Installing the generator of src/schedd/v1 into build/proto-venv"
	@build/proto-venv/bin/python $(PIP) install --no-deps --require-hashes --requirement requirements-proto.lock
	@touch $@

build/uv/.installed: | build/uv/bin/python
	@build/uv/bin/python $(PIP) install uv==0.13.9
	@touch $@

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "schedd needs Python 3.11 or newer, and '$(PYTHON)' is older or not there. Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments (no ensurepip). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(@:/bin/python=)

build/googleapis/.copied: .venv/.installed
	@rm -rf build/googleapis && mkdir -p build/googleapis
	@cd .venv/lib/python3*/site-packages && find google/api google/rpc google/type -name '*.proto' -exec cp --parents -t $(CURDIR)/build/googleapis {} +
	@touch $@

$(BUF): tools/buf/package-lock.json
	@command -v npm >/dev/null || { \
	  echo "proto-check needs npm for buf. On Debian and Ubuntu: apt-get install nodejs npm" >&2; exit 1; }
	@npm --prefix tools/buf ci --loglevel=error >/dev/null
	@touch $@
