# batchgen: what a person or CI needs, one word each. Needs make and Python 3.11 or later; installs the rest into .venv.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: help demo test lint types tests soak clean

help:
	@echo "make demo   render manifests/quickstart.yaml through the rehearsal service: no key, no cost"
	@echo "make test   every check and every test"
	@echo "make soak   the long proof: kills, faults, simulations and fuzzing by the thousand (about an hour)"
	@echo "make clean  take away .venv and what demo and test have left"

demo: .venv/demo.ready
	@rm -rf demo && mkdir demo
	$(BIN)/batchgen run manifests/quickstart.yaml --sandbox --state demo/quickstart.state.json --output-dir demo/videos
	@echo; ls -l demo/videos/sandbox

test: lint types tests

lint: .venv/test.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/test.ready
	$(BIN)/mypy

tests: .venv/test.ready
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n 4
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# SOAK="kills --share 0.1 --seed 7" does a part of it, or repeats what an earlier one found
soak: .venv/test.ready
	$(BIN)/python -m tests.soak $(SOAK)

clean:
	rm -rf .venv demo .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "batchgen needs Python 3.11 or later, and found none."; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing: on Debian, apt-get install python3-venv"; exit 1; }

.venv/demo.ready: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all]"
	@touch $@

.venv/test.ready: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all,dev]"
	@touch $@
