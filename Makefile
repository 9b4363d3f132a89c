# make audit: a report on the bundled model.   make test: the test suite.   make docs: the pages, in build/docs.
# make sanitize: the tests of the engines with a core that watches its addresses, and two threads that watch each other.
# All set up .venv first, and compile the native core again where it has changed.
PYTHON ?= python3
BIN := .venv/bin
CORE := $(wildcard polytope/core/*) CMakeLists.txt
.PHONY: audit test docs sanitize

audit: .venv/installed
	$(BIN)/polytope audit examples/models/digits_mlp.onnx --window examples/data/digits_test.npz \
		--window-indices 6,15,13 --data examples/data/digits_test.npz --budget 20s --out audit

test: .venv/installed
	$(BIN)/python -m pytest -n auto -m "not slow and not gpu"

docs: .venv/installed
	$(BIN)/python -m mkdocs build --strict

sanitize: .venv/installed
	PYTHON=$(BIN)/python .ci/sanitize

.venv/tools: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
		{ echo "A C++20 compiler is needed: install g++ 11 or later (apt-get install g++) or clang 14 or later."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt scikit-build-core nanobind ninja cmake setuptools wheel
	touch $@

.venv/installed: .venv/tools $(CORE)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e ".[dev]"
	touch $@
