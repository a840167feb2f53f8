# Everything a developer or a machine does with this project: `make` lists it.
# Needs Python >= 3.11 and make; each target sets up what it needs in .venv, from locked dependencies with hashes.

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
UV ?= uv
VENV := .venv
BENCH_VENV := .venv-bench
MATRIX_VENVS := .venv-matrix
LIVE_VENVS := .venv-live
BIN := $(VENV)/bin
PIP_INSTALL = -m pip install --quiet --no-compile --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow browser images test-matrix test-live test-live-ci fuzz chaos lint types imports collector grafana bench wheel lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## Create .venv with the locked dependencies and the otel-llmcost command in it

demo: setup  ## Run the main job on simulated traffic (options: DEMO_ARGS=--no-serve)
	@$(BIN)/otel-llmcost demo $(DEMO_ARGS)

# Side by side, a file's tests in one process; 0: all in this one, as a bare `pytest` runs them.
TEST_PROCESSES ?= 2

test: setup  ## Run the tests but the slow ones, in two processes (options: TEST_PROCESSES=4 TEST_ARGS=tests/journal)
	$(BIN)/python -m pytest -m "not slow" --numprocesses $(TEST_PROCESSES) --dist loadfile $(TEST_ARGS)

test-slow: setup  ## Run the slow proofs: the wheel in a fresh environment, ends at every step, many rounds of chance
	$(BIN)/python -m pytest -m slow --numprocesses $(TEST_PROCESSES) --dist loadfile $(TEST_ARGS)

browser: setup  ## Test the pages in the Chromium of this machine, which must have one
	LLMCOST_BROWSER=1 $(BIN)/python -m pytest tests/browser $(TEST_ARGS)

images: setup  ## Draw the pictures of the documents, docs/images, with the pages and Chromium of this machine
	LLMCOST_BROWSER=1 LLMCOST_IMAGES=1 $(BIN)/python -m pytest tests/browser -k 'wider or picture' $(TEST_ARGS)

# SDK releases by number, `newest`, and environments with a file of their own in tests/matrix.
MATRIX ?= 1.27 1.39 1.40 1.42 1.44 newest instrumentations logfire
MATRIX_TESTS = tests/test_processor.py tests/test_sdk_contract.py tests/sampling tests/auto/test_auto.py \
	tests/middleware/test_middleware.py tests/matrix

test-matrix: $(MATRIX:%=$(MATRIX_VENVS)/%/.ready)  ## Run the SDK's tests in older and newer environments (MATRIX='1.27 newest')
	@set -e; for name in $(MATRIX); do python=$(MATRIX_VENVS)/$$name/bin/python; \
		"$$python" -c 'from opentelemetry.sdk.version import __version__ as sdk; print("== '$$name': opentelemetry-sdk", sdk)'; \
		"$$python" -m pytest --quiet -p no:cacheprovider -W ignore::DeprecationWarning $(MATRIX_TESTS); done

# Files of requirements/live; the first one has the clients themselves, and is enough for CI.
LIVE ?= clients frameworks litellm

test-live: setup $(LIVE:%=$(LIVE_VENVS)/%/.ready)  ## Run real stacks against the provider simulator (LIVE='clients litellm')
	LLMCOST_LIVE='$(LIVE)' $(BIN)/python -m pytest tests/live $(TEST_ARGS)

test-live-ci: setup $(LIVE_VENVS)/clients/.ready  ## The same for the providers' own clients: a minute, once set up
	LLMCOST_LIVE=clients $(BIN)/python -m pytest tests/live $(TEST_ARGS)

FUZZ_SPANS ?= 1000000
FUZZ_SEED ?= $(shell date +%s)
fuzz: setup  ## Send a million hostile spans through the processor (FUZZ_SPANS=100000 FUZZ_SEED=7): about 10 minutes
	LLMCOST_FUZZ_SPANS=$(FUZZ_SPANS) LLMCOST_FUZZ_SEED=$(FUZZ_SEED) $(BIN)/python -m pytest tests/fuzz $(TEST_ARGS)

CHAOS_SEED ?= $(shell date +%s)
CHAOS_KILLS ?= 100
CHAOS_SPANS ?= 100000
chaos: setup  ## Kill producers and servers, fail most inserts, count every request (CHAOS_SEED=7 CHAOS_KILLS=20): about 10 minutes
	$(BIN)/python -m tests.e2e.chaos --seed $(CHAOS_SEED) --kills $(CHAOS_KILLS) --spans $(CHAOS_SPANS)
	@echo "Beside it, a batch processor under the same faults:"
	$(BIN)/python -m tests.e2e.chaos --seed $(CHAOS_SEED) --kills 20 --spans 10000 --variant peers
	@echo "And ours with each of its protections taken out, which must fail:"
	LLMCOST_CHAOS=1 $(BIN)/python -m pytest tests/e2e/chaos $(TEST_ARGS)
	LLMCOST_SERVER_KILLS=20 $(BIN)/python -m pytest tests/e2e/faults/test_engine.py -k killed $(TEST_ARGS)

lint: setup  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## Check types
	$(BIN)/mypy

imports: setup  ## Check that imports follow the layers of the house
	$(BIN)/lint-imports

# Built once per manifest, from modules pinned by version and hash; a binary of another manifest stays beside it.
COLLECTOR_MANIFEST := collector-config/builder.yaml collector-config/modules/go.mod collector-config/modules/go.sum
COLLECTOR := .collector/otelcol-llmcost-$(shell cat $(COLLECTOR_MANIFEST) | sha256sum | cut -c1-12)

collector: $(COLLECTOR)  ## Build the Collector of collector-config/builder.yaml (needs Go >= 1.26; about 6 CPU-minutes, once)

$(COLLECTOR):
	@command -v go >/dev/null || { echo "make: no Go found: the Collector is built from its modules, with Go >= 1.26" >&2; exit 1; }
	@mkdir -p .collector/build && cp collector-config/modules/go.mod collector-config/modules/go.sum .collector/build/
	@cd .collector && "$$(cd ../collector-config/modules/builder && go tool -n builder)" --config ../collector-config/builder.yaml --skip-get-modules
	@mv .collector/build/otelcol-llmcost $@

grafana: setup  ## Build grafana/dashboards/*.json from the ledger's queries
	$(BIN)/python grafana/build.py

bench: $(BENCH_VENV)/.ready  ## Run the benchmarks beside their peers, in an environment of their own
	@set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BENCH_VENV)/bin/python "$$script" $(BENCH_ARGS); done

wheel: setup  ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

lock:  ## Re-create the locks from pyproject.toml (needs uv)
	$(LOCK) --extra demo --extra otlp --group dev pyproject.toml requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) --extra embedded --extra otlp pyproject.toml requirements/bench.in --output-file requirements/bench.txt
	@set -e; for stack in clients frameworks litellm; do \
		$(LOCK) pyproject.toml requirements/live/$$stack.in --output-file requirements/live/$$stack.txt; done

clean:  ## Remove everything that make made
	rm -rf $(VENV) $(BENCH_VENV) $(MATRIX_VENVS) $(LIVE_VENVS) .collector .llmcost-demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

LOCK = $(UV) pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-annotate \
	--custom-compile-command "make lock"

# One python >= 3.11 out of $(PYTHON), able to make virtual environments; a shim that only pretends to be there fails -c.
define FIND_PYTHON
for python in $(PYTHON); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
done; \
if [ -z "$$python" ]; then \
	echo "make: no Python >= 3.11 found (tried: $(PYTHON)). Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	echo "make: $$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
fi
endef

# $(1) the environment, $(2) its lock. The stamp comes last, so that an interrupted set-up is taken up again.
define SET_UP
@$(FIND_PYTHON); echo "Setting up $(1) with $$("$$python" --version) (once; about 300 MB to download)" >&2; "$$python" -m venv $(1)
@$(1)/bin/python $(PIP_INSTALL) --require-hashes -r $(2)
@$(1)/bin/python $(PIP_INSTALL) --no-build-isolation --no-deps --editable .
@$(1)/bin/otel-llmcost --version >/dev/null
@env -u PYTHONDONTWRITEBYTECODE $(1)/bin/python -c 'import genai_prices.data'  # compiled now: a first request waits 2 s for it
@touch $(1)/.ready
endef

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(call SET_UP,$(VENV),requirements/dev.txt)

$(BENCH_VENV)/.ready: requirements/bench.txt pyproject.toml
	$(call SET_UP,$(BENCH_VENV),requirements/bench.txt)

$(MATRIX_VENVS)/%/.ready: $(wildcard tests/matrix/*.in) pyproject.toml
	@$(FIND_PYTHON); echo "Setting up $(@D)" >&2; "$$python" -m venv $(@D)
	@$(@D)/bin/python $(PIP_INSTALL) -r tests/matrix/common.in $(MATRIX_NEEDS)
	@$(@D)/bin/python $(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@$(@D)/bin/python -c 'import genai_prices.data'  # compiled now: a first request waits 2 seconds for prices, no longer
	@touch $@

$(LIVE_VENVS)/%/.ready: requirements/live/%.txt pyproject.toml
	@$(FIND_PYTHON); echo "Setting up $(@D)" >&2; "$$python" -m venv $(@D)
	@$(@D)/bin/python $(PIP_INSTALL) --require-hashes -r $<
	@$(@D)/bin/python $(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@$(@D)/bin/python -c 'import genai_prices.data'  # as above
	@touch $@

# The instrumentor's package follows the SDK's release, but for environments that say themselves what they have.
MATRIX_NEEDS = $(if $(wildcard tests/matrix/$*.in),-r tests/matrix/$*.in,$(if $(filter newest,$*),opentelemetry-sdk,'opentelemetry-sdk==$*.*') opentelemetry-instrumentation)
