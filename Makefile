# The commands of this repository. `make run` and `make test` set up whatever they need in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRA ?= dev
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: runtime run start test test-all test-in-process check lint e2e crash fuzz install package bench bench-peers clean

run: runtime          ## run the recipe end to end: five items out, five results in
	$(BIN)/dfhost run POST /api/start-fanout

start: runtime        ## serve the app on http://localhost:7071 until ctrl-C
	$(BIN)/dfhost start

test: install         ## the tests to run at every change: all but those marked `long`; TESTS=tests/cli for some
	$(strip $(BIN)/pytest -m 'not long and not stress' $(TESTS))

test-all: install     ## every test but those of `make crash`, and the coverage floor (pyproject.toml: fail_under)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m 'not stress' --hypothesis-profile=thorough
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: lint test      ## what every change must pass; CI runs test-all and package as well

lint: install         ## format, style, types, imports, version, deployment files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python scripts/check_version.py
	$(BIN)/python scripts/doctor.py

e2e: install          ## the black-box suite; BASE_URL=… (and FUNCTIONS_KEY=…) for another host than dfhost
	BASE_URL="$(BASE_URL)" FUNCTIONS_KEY="$(FUNCTIONS_KEY)" $(BIN)/pytest tests/e2e

test-in-process: install ## the recordings again, with the app in the host's process
	TEST_START_OPTIONS=--in-process $(BIN)/pytest -m 'not long' tests/conformance tests/e2e tests/front

crash: install        ## kill hosts and workers at random moments, ROUNDS times (500), and more; CRASH_SEED=… repeats a run
	CRASH_ROUNDS="$(or $(ROUNDS),500)" $(BIN)/pytest -m 'stress' --timeout=7200 -rP

fuzz: install         ## send a host REQUESTS random requests (50,000); FUZZ_SEED=… repeats a run
	FUZZ_REQUESTS="$(or $(REQUESTS),50000)" $(BIN)/pytest tests/http/test_random_requests.py --timeout=7200

runtime: $(VENV)/.runtime  ## the virtual environment, with what the app and the host need
install: $(VENV)/.installed  ## the virtual environment, with the tools for tests as well

$(VENV)/.runtime: pyproject.toml requirements.txt
	@echo "Setting up $(VENV), once: this takes about a minute …"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt -e .
	@touch $@

$(VENV)/.installed: pyproject.toml requirements.txt
	@echo "Setting up $(VENV) with the tools for tests, once. This takes about a minute …"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt -e '.[$(EXTRA)]'
	@touch $(VENV)/.runtime $@

package: install      ## build the wheel, check it, and run an app with it in an empty environment
	@$(BIN)/python -c 'import build, twine' 2>&- || $(PIP) -e '.[package]'
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python scripts/check_wheel.py dist/*.whl

clean:                ## forget the environment and every local run
	rm -rf .venv .venv-3.* .dfhost dist

bench: install        ## measure speed beside the SDK's own floor (under 5 minutes)
	@$(BIN)/python -c 'import matplotlib' 2>&- || $(PIP) -e '.[bench]'
	$(BIN)/python -m benchmarks.bench

bench-peers: install  ## measure other tools beside it, in an environment of their own
	$(BIN)/python -m benchmarks.peers
