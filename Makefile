# Every target sets up what it needs, on Linux. PYTHON is any Python 3.11 or later.
PYTHON ?= python3
RECIPE ?= digits
BIN := .venv/bin
# Tests that need no service of ours run side by side; Ray, Prefect and MLflow are started once.
SIDE_BY_SIDE := augmentation collapse config data determinism evaluation losses metrics models storage training
SIDE_BY_SIDE := $(SIDE_BY_SIDE:%=tests/%)

.PHONY: run test test-slow check clean FORCE

run: .venv/run.stamp
	$(BIN)/ganlib run $(RECIPE)

test: .venv/test.stamp
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(SIDE_BY_SIDE); first=$$?; \
	$(BIN)/python -m pytest $(SIDE_BY_SIDE:%=--ignore=%) && exit $$first

test-slow: .venv/test.stamp
	$(BIN)/python -m pytest -m slow --timeout 3600

check: .venv/test.stamp
	./check

.venv/run.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(MAKE) -s .venv
	@echo "installing what constraints.txt pins: several minutes the first time"
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

# A half-made environment is not kept: the next call would take it for a whole one.
.venv: FORCE
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11 or later; name one: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }

.venv/test.stamp: .venv/run.stamp
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
