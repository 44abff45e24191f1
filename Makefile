# vqchaos: every target does its own set-up. `make demo` and `make test` are the two to know.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint fast undo live docker browser crash bench down install dev clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: install ## Set everything up, bring a real vLLM up, break it eight ways, say what clients got
	$(BIN)/vqchaos demo

down: install ## End the demo's stack and leave nothing behind
	$(BIN)/vqchaos down

test: lint fast undo live docker ## Everything: lint, types, fast tests, killed runners, a real vLLM and Toxiproxy, Docker

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: dev ## The fast tests alone
	$(BIN)/pytest

undo: dev ## The crash suite's fast half alone: real runners and watchdogs, killed at each step
	$(BIN)/pytest -m crash tests/crash

crash: dev ## Every way to die, at every step, for every family, on a real stack: more than an hour
	$(BIN)/python -m tests.crash.matrix

live: dev ## The tests on a real vLLM and a real Toxiproxy alone
	$(BIN)/pytest -m live tests/live --durations=12

docker: dev ## The tests on a real Docker daemon alone, one stack of real vLLM among them; says what is lacking
	tools/docker/for_tests.sh
	$(BIN)/pytest -m docker tests/live tests/test_compose_file.py --durations=12

bench: dev ## vqchaos beside Locust, aiperf and Chaos Toolkit on this machine: ten minutes; keep it quiet
	benchmarks/peers/install.sh $(PYTHON)
	PYTHONPATH=src:. $(BIN)/python -m benchmarks.peers.load \
		--locust .bench/locust/bin/locust --aiperf .bench/aiperf/bin/aiperf
	PYTHONPATH=src:. $(BIN)/python -m benchmarks.peers.injection --chaos .bench/chaos/bin/chaos \
		$(wildcard runs)
	PYTHONPATH=src:. $(BIN)/python benchmarks/observer_accuracy.py
	PYTHONPATH=src:. $(BIN)/python benchmarks/validation.py
	$(BIN)/python benchmarks/startup.py --chaos .bench/chaos/bin/chaos

browser: dev ## The reports in a headless Chromium (apt install chromium), hostile text in every field
	$(BIN)/pytest -m browser tests/report/html

install: $(VENV)/.installed

dev: $(VENV)/.dev

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "vqchaos needs Python 3.11 to 3.14 on PATH; name one with PYTHON=…" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	$(BIN)/python -m compileall -q src
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean: ## Remove the environment and the caches of this folder (not the engine's)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
