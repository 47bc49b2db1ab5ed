# Every target sets up what it needs, on Linux. PYTHON is any Python 3.11 or later.
PYTHON ?= python3
RECIPE ?= digits
BIN := .venv/bin

.PHONY: run test test-slow check clean FORCE

run: .venv/run.stamp
	$(BIN)/ganlib run $(RECIPE)

# A worker that crashed ends the run with the name of its test: one put in its place may be handed a
# single test, and waits for ever for the one after it.
test: .venv/test.stamp
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder \
	  --max-worker-restart 0

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
