# Each target does all it needs on a fresh machine: the virtual environment, the pinned dependencies, the package.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.PHONY: demo test check format bench screen clean

# The main job on real text: a plain torch.nn character model, unchanged, under the monitor.
demo: $(STAMP)
	$(BIN)/bptt run --out runs/demo examples/char_lm.py

# Waiting threads sleep instead of spinning: beside other work, tests of tiny products would take ten times as long.
test: check
	OMP_WAIT_POLICY=passive $(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/readme.py --check

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Every benchmark is one script that writes its own file under benchmarks/results/.
bench: $(STAMP)
	set -e; for script in benchmarks/[!_]*.py; do $(BIN)/python $$script; done

# The terminal screen in README.md, made anew.
screen: $(STAMP)
	$(BIN)/python tools/readme.py --run

# Without build isolation the build backend comes from the constraints file, too.
$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV); a minute or two the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist runs .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests examples tools -type d -name __pycache__ -prune -exec rm -rf {} +
