# make report      set everything up and make a report from the embedded data set
# make test        set everything up, lint and run every test
# make help        the other targets
#
# Needs Python 3.11 or newer and a C compiler with the Python headers (one dependency is built from source).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PYTHON ?=
REPORT_DIR ?= runs/demo
PYTEST_ARGS ?=
PYTEST_WORKERS ?= 2
BENCHMARK_DIR ?= benchmark-results
SCOREBOARD_DIR ?= scoreboard-results
DATA ?=
FRESH ?=
SCOREBOARD_ARGS ?=
MIRA_NB_ACCEPTANCE_DIR ?= acceptance-results
PEER_VENV ?= .peer-venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch==2.13.0

# Many small operations run faster on one thread than on several.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup setup-test browser report test acceptance lint format docs benchmark scoreboard dashboard lock templates atlas clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---------------------------------------------------------------------- set up
# Stamp files in the virtual environment: each step runs again only when what it depends on has changed.

$(VENV)/.created:
	@for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python="$$candidate"; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo "No Python 3.11 or newer was found. Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
	  exit 1; fi; \
	echo "Creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { \
	  echo "$$python cannot create virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.locked: requirements/run.lock $(VENV)/.created
	@echo "Installing the pinned packages (some minutes the first time)"
	@$(PIP) install --quiet -r requirements/run.lock || { \
	  echo "The pinned packages could not be installed. MOODS-python is built from source: it needs a C++ compiler" \
	       "and the Python headers (on Debian and Ubuntu: apt-get install build-essential python3-dev)." >&2; exit 1; }
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.locked
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test-locked: requirements/test.lock $(VENV)/.installed
	@echo "Installing what the tests need"
	@$(PIP) install --quiet -c requirements/run.lock -r requirements/test.lock
	@touch $@

setup: $(VENV)/.installed  ## Virtual environment with the pinned packages and mira_nb

setup-test: $(VENV)/.test-locked

# Chromium for the browser tests: the one that is there, else Debian's package, else Playwright's own.
browser: setup-test  ## Find or install a headless Chromium for the browser tests
	@if $(BIN)/python tests/browser.py >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium with apt-get"; \
	  if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null \
	     && $(BIN)/python tests/browser.py >/dev/null; then exit 0; fi; fi; \
	echo "Installing Chromium with Playwright"; \
	$(BIN)/python -m playwright install chromium || true; \
	$(BIN)/python tests/browser.py || \
	  echo "No Chromium could be had: the browser tests will be skipped (or fail with MIRA_NB_REQUIRE_BROWSER=1)." >&2

# ---------------------------------------------------------------------- use
report: setup  ## Make a report from the embedded data set and print its path
	@$(BIN)/mira-nb demo --out $(REPORT_DIR)
	@echo "The report is at:"
	@echo "$(abspath $(REPORT_DIR)/report.html)"

dashboard: report  ## Open the panels on the embedded data set
	@$(BIN)/mira-nb dashboard $(REPORT_DIR)

# ---------------------------------------------------------------------- check
test: setup-test browser lint  ## Lint and run every test
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

# Runs are kept: a second call computes only what changed.
acceptance: export MIRA_NB_ACCEPTANCE_DIR := $(abspath $(MIRA_NB_ACCEPTANCE_DIR))
acceptance: setup-test  ## Further seeds, whole real data, killed runs; writes docs/acceptance.md
	@status=0; $(BIN)/python -m pytest -m acceptance $(PYTEST_ARGS) || status=$$?; \
	$(BIN)/python -m tests.e2e.acceptance; exit $$status

lint: setup-test  ## ruff format, ruff check, mypy
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: setup-test  ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

templates: setup  ## Bring the parameter cells of the templates and the function signatures up to date
	@$(BIN)/python -m mira_nb.run.templates
	@$(BIN)/python -m mira_nb.stubs

atlas: report  ## Draw docs/atlas.md and its pictures from the embedded data set
	@$(BIN)/python -m mira_nb.report.atlas_docs $(REPORT_DIR) docs

docs: setup-test  ## Build the documentation site into docs/_build/html
	@$(BIN)/mira-nb demo --size small --out docs/_build/demo >/dev/null
	@mkdir -p docs/_extra && cp docs/_build/demo/report.html docs/_extra/example-report.html
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "The site is at $(abspath docs/_build/html/index.html)"

benchmark: setup-test  ## Measure speed, memory and quality, against the reference where it can be installed
	@PEER_VENV=$(abspath $(PEER_VENV)) $(BIN)/python -m tests.benchmarks --out $(BENCHMARK_DIR)

# DATA: folder of the real sets; FRESH=1: the other methods again, which installs them; SCOREBOARD_ARGS: further options.
scoreboard: setup-test  ## Score mira_nb beside other methods; writes docs/scoreboard.md
	@if [ -n "$(FRESH)" ]; then $(PIP) install --quiet -c requirements/run.lock -r requirements/scoreboard.txt; fi
	@PEER_VENV=$(abspath $(PEER_VENV)) $(BIN)/python -m tests.scoreboard $(if $(DATA),--data $(DATA)) \
	  $(if $(FRESH),--fresh) --work $(SCOREBOARD_DIR) $(SCOREBOARD_ARGS)

# ---------------------------------------------------------------------- keep up
lock:  ## Resolve all dependencies anew and write requirements/*.lock
	@work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; \
	$(or $(PYTHON),python3.11) -m venv "$$work/venv"; \
	pip="$$work/venv/bin/python -m pip --disable-pip-version-check"; \
	freeze() { $$pip freeze --all --exclude pip --exclude mira-nb | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'; }; \
	$$pip install --quiet "$(TORCH)" hatchling editables . ; freeze > "$$work/run.lock"; \
	$$pip install --quiet "$(TORCH)" ".[test,lint,dask,docs]"; freeze > "$$work/all.lock"; \
	{ echo "# Made by \`make lock\`: what mira_nb runs with."; cat "$$work/run.lock"; } > requirements/run.lock; \
	{ echo "# Made by \`make lock\`: what tests, lint and docs need in addition to run.lock."; \
	  grep -vxFf "$$work/run.lock" "$$work/all.lock"; } > requirements/test.lock
	@wc -l requirements/*.lock

clean:  ## Remove the environments, caches and demonstration runs
	rm -rf $(VENV) $(PEER_VENV) $(BENCHMARK_DIR) $(SCOREBOARD_DIR) $(MIRA_NB_ACCEPTANCE_DIR) runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
