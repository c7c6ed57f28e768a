# `make demo` and `make test` need Python 3.11 to 3.13 and a package index, nothing else.

# The Python that makes the virtual environment: `make PYTHON=python3.12 test` takes another.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

# A small AWD-LSTM on the bundled corpus (State of the Union messages).
DEMO := $(VENV)/bin/python -m trainers.ptb --preset=demo

# Two processes with one TensorFlow thread each. PYTEST_ARGS=--run_slow adds the slow tests.
TEST := TF_NUM_INTRAOP_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist=loadfile -q

.PHONY: help demo bundled_model test lint docs bazel clean

help:
	@echo "make demo    train a small AWD-LSTM on the bundled corpus, from a fresh checkout"
	@echo "make bundled_model  train the model that comes with the package again"
	@echo "make test    run the tests (PYTEST_ARGS=--run_slow for the slow ones too)"
	@echo "make lint    check the style with ruff"
	@echo "make docs    build the documentation into site/; a warning is an error"
	@echo "make bazel   build every Bazel target and run the small tests by Bazel"
	@echo "make clean   remove the virtual environment and what the tools left; runs/ stays"

demo: $(VENV)/.installed
	@$(DEMO)

# The model that comes with the package, from scratch.
bundled_model: $(VENV)/.installed
	@$(DEMO) --dtype=float32 --learning_rate=30 --epochs=3 --bptt=25 --validation_batch_size=40 \
	  --logging_interval=300 --non_monotone_interval=1 --workdir=runs/bundled
	@$(VENV)/bin/python -m trainers.bundle --workdir=runs/bundled

test: $(VENV)/.installed
	@$(TEST) $(PYTEST_ARGS)

lint: $(VENV)/.installed
	@$(VENV)/bin/python -m ruff check .

docs: $(VENV)/.installed_docs
	@$(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo "built: site/index.html"

# All tests are those of `make test`; by Bazel they would cost the same time again. The server that
# Bazel leaves behind is ended. A busy machine takes longer than the minute that Bazel gives small tests.
bazel: export AWD_BAZEL_PYTHON ?= $(abspath $(VENV))/bin/python
bazel: $(VENV)/.installed
	@bazel build //... && bazel test --test_size_filters=small --test_timeout=300 //...; \
	  code=$$?; bazel shutdown; exit $$code

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What `make docs` needs besides; the lock's versions hold for what both need.
$(VENV)/.installed_docs: $(VENV)/.installed
	@$(PIP_INSTALL) -c requirements_lock.txt -e ".[docs]"
	@touch $@

# Made once, and again only when the requirements change.
$(VENV)/.installed: setup.py pyproject.toml requirements_lock.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Expected Python 3.11, 3.12 or 3.13. Received: '$(PYTHON)'. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing TensorFlow and the other requirements into $(VENV), once: about 2 minutes, 2.6 GB ..."
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP_INSTALL) -c requirements_lock.txt -e ".[demo,test,dev]"
	@touch $@
