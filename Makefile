# `make demo` and `make test` need only Python 3.11 to 3.13 and a package index.

# The Python that creates the virtual environment. To use another: `make PYTHON=python3.12 test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

# A small AWD-LSTM, trained on State of the Union messages.
DEMO := $(VENV)/bin/python -m trainers.ptb --preset=demo

# Two processes with one TensorFlow thread each. PYTEST_ARGS=--run_slow adds the slow tests.
TEST := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
  $(VENV)/bin/python -m pytest -n 2 --dist=loadfile -q

.PHONY: help demo bundled_model test lint docs bazel clean

help:
	@echo "make demo           train a small AWD-LSTM on State of the Union messages"
	@echo "make test           run the tests (with PYTEST_ARGS=--run_slow the slow ones too)"
	@echo "make lint           check style and formatting with ruff"
	@echo "make docs           build the documentation in site/; warnings are errors"
	@echo "make bazel          build all Bazel targets and run the small tests"
	@echo "make bundled_model  train the bundled model anew (half an hour)"
	@echo "make clean          remove the virtual environment and build outputs; keep runs/"

demo: $(VENV)/.installed
	@$(DEMO)

bundled_model: $(VENV)/.installed
	@$(VENV)/bin/python -m trainers.ptb --preset=sotu --dtype=float32 --learning_rate=30 --epochs=3 \
	  --bptt=25 --validation_batch_size=40 \
	  --logging_interval=300 --non_monotone_interval=1 --workdir=runs/bundled
	@$(VENV)/bin/python -m trainers.bundle --workdir=runs/bundled

test: $(VENV)/.installed
	@$(TEST) $(PYTEST_ARGS)

lint: $(VENV)/.installed
	@$(VENV)/bin/python -m ruff check .
	@$(VENV)/bin/python -m ruff format --check .

docs: $(VENV)/.installed_docs
	@$(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo "built: site/index.html"

# The timeout allows for busy machines. Bazel leaves a server running, which the last command stops.
bazel: export AWD_BAZEL_PYTHON ?= $(abspath $(VENV))/bin/python
bazel: $(VENV)/.installed
	@bazel build //... && bazel test --test_size_filters=small --test_timeout=300 //...; \
	  code=$$?; bazel shutdown; exit $$code

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed_docs: $(VENV)/.installed
	@$(PIP_INSTALL) -c requirements_lock.txt -e ".[docs]"
	@touch $@

$(VENV)/.installed: setup.py pyproject.toml requirements_lock.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "PYTHON must be Python 3.11, 3.12 or 3.13. Received: '$(PYTHON)'. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing TensorFlow and the other requirements in $(VENV): about 2 minutes, 2.6 GB ..."
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP_INSTALL) -c requirements_lock.txt -e ".[demo,test,dev]"
	@touch $@
