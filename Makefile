# Everything runs from .venv, which `make setup` builds from the lock files with nothing but Python (>= 3.11) and pip.
# `make run` does the main job, `make test` checks everything that is quick to check; `make help` lists the rest.

PYTHON ?= python3
CONFIG ?= configs/airway.yaml
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
CACHE := .cache
WHEEL := $(CACHE)/wheel
DOCS := $(CACHE)/docs
PYMC := $(CACHE)/pymc
UV_COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

# XLA takes its number of CPU threads from PJRT_NPROC: with one, the bits of a draw do not depend on the machine's cores.
export PJRT_NPROC := 1
export RAY_USAGE_STATS_ENABLED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup python-check run test test-slow test-pymc bench bench-depth lint format lock docs docs-serve wheel-check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: $(STAMP) ## build .venv from requirements-dev.lock, if it is not up to date

# The stamp is written last, so a .venv made by hand, or left by an interrupted setup, is built anew.
# uv comes first, out of the same lock, because it installs in seconds what takes pip the best part of a minute.
# Not through a link, which would empty somebody else's.
$(STAMP): requirements.lock requirements-dev.lock pyproject.toml | python-check
	@! test -L $(VENV) || { echo "make: $(VENV) is a link to $$(readlink $(VENV)) and older than $(filter-out \
	python-check,$?): run make setup there, or remove the link" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(CACHE)
	@awk '/^[^ ]/ {keep = /^uv==/} keep' requirements-dev.lock > $(CACHE)/uv.lock
	-$(BIN)/python -m pip install --quiet --require-hashes --requirement $(CACHE)/uv.lock
	$(call install_locked,$(VENV),requirements-dev.lock)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# $(call install_locked,ENVIRONMENT,LOCK): with uv, or with pip where uv does not run or does not find the packages
# (it does not read pip's settings).
install_locked = $(BIN)/uv pip install --quiet --python $(1)/bin/python --require-hashes --requirement $(2) \
	|| { echo "make: uv could not install $(2), pip does" >&2; \
	$(1)/bin/python -m pip install --quiet --require-hashes --requirement $(2); }

python-check:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: '$(PYTHON)' is not Python 3.11 or newer; name one that is: make setup PYTHON=python3.11" >&2; exit 1; }

run: setup ## sample the airway posterior; CONFIG=... for another configuration, ARGS=... for more options
	$(BIN)/maxwell run $(CONFIG) $(ARGS)

bench-depth: setup ## gradients to equilibrium beside other samplers (hours; ARGS chooses)
	$(BIN)/python -m workflows.studies.depth.benchmark $(ARGS)

lint: setup ## ruff, mypy and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir $(CACHE)/import-linter

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Most of the time goes into compiling, in one thread a process: as many processes as there are cores share the work and one
# cache of compiled programs (tests/conftest.py).
test: lint ## lint, then every test that is not slow; ARGS chooses some
	$(BIN)/python -m pytest -m "not slow" --numprocesses logical --dist worksteal $(ARGS)

test-slow: setup ## the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

# PyMC and Bambi want an older ArviZ and matplotlib than maxwell alone: an environment of its own.
$(PYMC)/.setup-done: requirements-pymc.lock pyproject.toml | setup
	$(PYTHON) -m venv --clear $(PYMC)
	$(call install_locked,$(PYMC),requirements-pymc.lock)
	$(PYMC)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

test-pymc: $(PYMC)/.setup-done ## the tests of PyMC and Bambi models that are not slow, with both installed
	$(PYMC)/bin/python -m pytest -m "not slow" --numprocesses logical --dist worksteal $(ARGS) \
		tests/workflows/modelling/pymc tests/workflows/modelling/test_optional_packages.py

bench: setup ## the benchmarks of docs/benchmarks.md
	$(BIN)/python -m workflows.studies.benchmarks.kernels $(ARGS)
	$(BIN)/python -m workflows.studies.benchmarks.nuts

lock: setup ## renew the lock files; ARGS=--upgrade takes the newest versions
	$(UV_COMPILE) pyproject.toml $(ARGS) --output-file requirements.lock
	$(UV_COMPILE) pyproject.toml $(ARGS) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(UV_COMPILE) pyproject.toml $(ARGS) --extra cluster --constraint requirements.lock --output-file requirements-cluster.lock
	$(UV_COMPILE) pyproject.toml $(ARGS) --extra pymc --extra bambi --extra enumeration --group dev --output-file requirements-pymc.lock
	$(UV_COMPILE) $(ARGS) --group docs --output-file requirements-docs.lock

# The site needs nothing of the program, and the program nothing of the site: an environment of its own.
$(DOCS)/.setup-done: requirements-docs.lock | python-check
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --require-hashes --requirement requirements-docs.lock
	@touch $@

docs: $(DOCS)/.setup-done ## build the site of docs/ into .cache/site; broken links fail
	$(DOCS)/bin/mkdocs build --strict --quiet
	@$(DOCS)/bin/python -m workflows.studies.pages.links $(CACHE)/site
	@echo "built: $(CACHE)/site/index.html"

docs-serve: $(DOCS)/.setup-done ## show the site on this machine while you write; ARGS="--dev-addr HOST:PORT" elsewhere
	$(DOCS)/bin/mkdocs serve $(ARGS)

# The wheel as a user has it: outside the checkout, on this Python and on the newest one installed beside it, with the
# locked packages and with the newest that pyproject.toml allows.
NEWEST := $(shell .ci/newest_python $(PYTHON))
PYTHONS := $(PYTHON) $(NEWEST)

wheel-check: setup ## build the wheel and use it from outside the checkout, on the oldest and the newest Python
	rm -rf $(WHEEL) && mkdir -p $(WHEEL)
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(WHEEL) .
	$(foreach python,$(PYTHONS),$(call use_wheel,$(python),locked)$(call use_wheel,$(python),newest))
	@$(if $(NEWEST),,echo "wheel-check: no Python newer than $$($(PYTHON) --version) is installed; newer ones were not tried")

# $(call use_wheel,PYTHON,locked|newest): -I and the root folder keep the checkout off the import path.
define use_wheel
rm -rf $(WHEEL)/venv $(WHEEL)/runs && mkdir $(WHEEL)/runs
	$(1) -m venv $(WHEEL)/venv
	$(if $(filter locked,$(2)),$(call install_locked,$(WHEEL)/venv,requirements.lock))
	$(BIN)/uv pip install --quiet --python $(WHEEL)/venv/bin/python $(if $(filter locked,$(2)),--no-deps) $(WHEEL)/*.whl \
		|| $(WHEEL)/venv/bin/python -m pip install --quiet $(if $(filter locked,$(2)),--no-deps) $(WHEEL)/*.whl
	cd / && $(CURDIR)/$(WHEEL)/venv/bin/maxwell models
	cd / && $(CURDIR)/$(WHEEL)/venv/bin/python -I $(CURDIR)/.ci/installed.py $(CURDIR)/$(WHEEL)/runs
	
endef

clean: ## remove .venv, caches and builds; runs stay
	rm -rf $(VENV) $(CACHE) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
