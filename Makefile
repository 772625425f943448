# Each target does all it needs on a fresh machine: the virtual environment, the pinned dependencies, the package.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.PHONY: demo test browser check docs sanitize format bench soak screen lock sbom audit clean

# The main job on real text: a plain torch.nn character model, unchanged, under the monitor.
demo: $(STAMP)
	$(BIN)/bptt run --out runs/demo examples/char_lm.py

# One process a core. Waiting threads sleep instead of spinning: beside other work, tests of tiny products would take ten
# times as long.
test: check browser
	OMP_WAIT_POLICY=passive $(BIN)/pytest --numprocesses auto --dist worksteal

# What the tests open pages in. Where it is missing it is installed, which needs root and apt-get.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || if [ "$$(id -u)" = 0 ] && command -v apt-get; \
		then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
		else echo "the tests of report.html open it in Chromium: please install it, then run this again" >&2; exit 1; fi

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/readme.py --check
	$(BIN)/python tools/speed.py --check
	$(BIN)/python tools/reliability.py --check

# The documentation site, in build/site; a warning is an error. Half a minute, and no network.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --quiet

# The native core's own test, for memory errors and undefined behaviour, then for races: some minutes. A kernel may lay
# out memory in a way that a sanitizer's own runtime does not bear: an empty program tells.
sanitize: $(STAMP)
	set -e; for kind in address thread; do \
		if ! (echo 'int main() {}' | $(CXX) -fsanitize=$$kind -x c++ - -o build/empty && build/empty); then \
			echo "the $$kind sanitizer does not run on this machine: left out" >&2; continue; fi; \
		PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S csrc -B build/$$kind -G Ninja -DBPTT_SANITIZE=$$kind; \
		PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/$$kind; \
		$(BIN)/ctest --test-dir build/$$kind --output-on-failure; done

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Every benchmark is one script that writes its own file under benchmarks/results/.
bench: $(STAMP)
	set -e; for script in benchmarks/[!_]*.py; do $(BIN)/python $$script; done

# An hour of training with the monitor on: memory, file sizes, overhead.
soak: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak.py --minutes 60

# The terminal screen in README.md, made anew.
screen: $(STAMP)
	$(BIN)/python tools/readme.py --run

# What a release brings along, in dist/: pins with this platform's hashes, and the bill of materials (CycloneDX). The
# tools have an environment of their own, so that they are no part of what they list.
RELEASE := build/release
$(RELEASE)/.stamp:
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1
	touch $@

lock: $(STAMP)
	mkdir -p dist
	$(BIN)/python tools/lock.py > dist/requirements-lock.txt

sbom: $(STAMP) $(RELEASE)/.stamp
	mkdir -p dist
	$(RELEASE)/bin/cyclonedx-py environment $(BIN)/python --output-format JSON --output-file dist/bptt.cdx.json

# Known faults of every pin. It needs PyPI's advisories: --strict, or a pin that could not be looked up would pass.
audit: $(RELEASE)/.stamp
	$(RELEASE)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# Without build isolation everything comes from the constraints file, and the native part from the pinned torch.
$(STAMP): pyproject.toml constraints.txt $(wildcard csrc/*.cpp csrc/*.txt csrc/core/*)
	@echo "setting up $(VENV) and building the native part; some minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt scikit-build-core cmake ninja setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation \
		--config-settings=wheel.cmake=false --editable '.[dev]'
	mkdir -p build
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S csrc -B build/native -G Ninja -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python > build/native.log \
		&& PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/native >> build/native.log \
		|| { cat build/native.log; echo "no native part: bptt runs on its reference path"; }
	touch $@

clean:
	rm -rf $(VENV) build dist runs .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests examples tools -type d -name __pycache__ -prune -exec rm -rf {} +
