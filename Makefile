# Every target sets up what it needs. PYTHON is any Python 3.11 or later.
PYTHON ?= python3
RECIPE ?= digits
BIN := .venv/bin

.PHONY: run test test-slow check clean

run: .venv/run.stamp
	$(BIN)/ganlib run $(RECIPE)

test: .venv/test.stamp
	$(BIN)/python -m pytest

test-slow: .venv/test.stamp
	$(BIN)/python -m pytest -m slow --timeout 3600

check: .venv/test.stamp
	./check

.venv/run.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/test.stamp: .venv/run.stamp
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
