# The commands of this repository. `make run` and `make test` set up whatever they need in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run start test check lint install bench bench-peers e2e clean

run: install          ## run the recipe end to end: five items out, five results in
	$(BIN)/dfhost run POST /api/start-fanout

start: install        ## serve the app on http://localhost:7071 until ctrl-C
	$(BIN)/dfhost start

test: install         ## every test
	$(BIN)/pytest

check: lint test      ## what a change must pass: format, lint, types, tests

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/doctor.py

e2e: install          ## the black-box suite; BASE_URL=… (and FUNCTIONS_KEY=…) for another host than dfhost
	BASE_URL="$(BASE_URL)" FUNCTIONS_KEY="$(FUNCTIONS_KEY)" $(BIN)/pytest tests/e2e

install: .venv/.installed  ## the virtual environment, once

.venv/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -e '.[dev]'
	@touch $@

clean:                ## forget the environment and every local run
	rm -rf .venv .dfhost

bench: install        ## measure speed beside the SDK's own floor (under 5 minutes)
	@$(BIN)/python -c 'import matplotlib' 2>&- || $(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks.bench

bench-peers: install  ## measure other tools beside it, in an environment of their own
	$(BIN)/python -m benchmarks.peers
