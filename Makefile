# Everyday commands. `make` alone lists them. Options for the program behind a target go into ARGS.
#   make run CONFIG=my.yaml            make test ARGS='-k cache'            PYTHON=/path/to/python3 make setup

VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check
CONFIG ?=
ARGS   ?=

# A stamp holds the folder it was made for. If that differs (the tree was moved or copied) or Python is gone, .venv is made again.
current = $(shell test -x $(PY) && test "`cat $(1) 2>/dev/null`" = "$(CURDIR)" && echo yes)

# If this is set, each gate compiles all its modules at its start, which takes half a second.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run demo test test-e2e check lint format bench bench-scrub bench-cache test-clients mutants soak clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.dev-ready ## Create .venv with everything needed to work on the code
	@echo "Ready: $(VENV) ($$($(PY) --version))"

run: $(VENV)/.run-ready ## Start the gate: base URL on 4000, HTTPS proxy on 8080, mitmweb
	@exec $(VENV)/bin/sluicegate run --reverse 4000 --regular 8080 --web $(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

demo: $(VENV)/.run-ready ## Send sample traffic to a simulated provider: no account, no network
	@exec $(VENV)/bin/sluicegate demo $(ARGS)

test: $(VENV)/.dev-ready ## Run the unit tests and those of the command line (a minute)
	@$(PY) -m pytest -n 3 --dist worksteal -m "not e2e and not clients and not soak" $(ARGS)

test-e2e: $(VENV)/.dev-ready ## Run the end-to-end tests: real gates on free ports (five minutes)
	@$(PY) -m pytest -n 3 --dist worksteal -m "e2e and not soak" $(ARGS)

check: lint test test-e2e ## Run everything that a change must pass: format, lint, types, imports, tests

lint: $(VENV)/.dev-ready ## Check format, lint, types and import rules
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.dev-ready ## Reformat the code and fix what ruff can fix
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

bench: $(VENV)/.dev-ready ## Measure the gate against bare mitmdump on this machine
	@$(PY) -m bench $(ARGS)

bench-scrub: $(VENV)/.dev-ready ## Measure the cost of finding secrets
	@$(PY) -m bench.scrub

bench-cache: $(VENV)/.dev-ready ## Measure the savings of the response cache: calls, tokens, dollars, latency
	@$(PY) -m bench.cache $(ARGS)

test-clients: $(VENV)/.dev-ready ## Run real clients through the gate (needs node and npm)
	@sh scripts/install-clients || test -z "$$CI"
	@$(PY) -m pytest -n 2 -m clients $(ARGS)

mutants: $(VENV)/.dev-ready ## Change single expressions of the code and count which changes the unit tests notice (an hour)
	@$(PY) scripts/mutants $(ARGS)

soak: $(VENV)/.dev-ready ## Run two minutes of load with faults and client aborts (SOAK_S=seconds)
	@$(PY) -m pytest -m soak -s $(ARGS)

clean: ## Remove .venv, caches and builds (keys and state stay)
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find addons bench tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run-ready: pyproject.toml constraints.txt $(if $(call current,$(VENV)/.run-ready),,FORCE)
	@$(venv)
	@echo "Installing the gate ..."
	@$(PIP) install -q -e . -c constraints.txt
	@echo "$(CURDIR)" > $@

$(VENV)/.dev-ready: pyproject.toml constraints.txt $(if $(call current,$(VENV)/.dev-ready),,FORCE)
	@$(venv)
	@echo "Installing the gate and its tests ..."
	@$(PIP) install -q -e . --group dev -c constraints.txt
	@echo "$(CURDIR)" > $(VENV)/.run-ready
	@echo "$(CURDIR)" > $@

# Keeps a working .venv of this folder; else makes it again. --group needs pip 25.1.
define venv
set -e; \
if ! { $(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && grep -qF "$(CURDIR)/$(VENV)" $(VENV)/bin/pip; }; then \
  python=$$(sh scripts/find-python); \
  echo "Making $(VENV) with $$python ..."; \
  "$$python" -m venv --clear $(VENV); \
fi; \
$(PIP) install -q --upgrade 'pip>=25.1'
endef
