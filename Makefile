# make demo   turn a singing voice into a violin, into demo/
# make test   run the default suite on TensorFlow, JAX and PyTorch
# make fuzz   try fifty times as many damaged and hostile files on every reader as the default suite does
# make test-devices   train every family on four virtual devices, and as docs/scaling.md does on many machines
# make docs   build the site of the documents, with sounds, into site/
# make lint   what .ci/run checks besides the tests
# make clean  remove everything that these commands made
# make test-tfio  run the tests of TensorFlow I/O, beside TensorFlow 2.16
# make test-tfa   write what TensorFlow Addons does, beside TensorFlow 2.15, and compare our layers with it
#
# Each makes its own .venv. Another Python: make PYTHON=python3.12 demo
# The last two have environments of their own besides, .venv-tfio and .venv-tfa, and need Python 3.11.

PYTHON = python3
BIN = .venv/bin

.NOTPARALLEL:
.PHONY: help demo test fuzz docs lint clean test-devices test-tfio test-tfa

help:
	@sed -n 's/^# make/make/p' Makefile

demo: .venv/.installed
	$(BIN)/audiozoo demo --out demo

test: .venv/.installed-for-tests
	$(BIN)/pytest

fuzz: .venv/.installed-for-tests
	AUDIOZOO_FUZZ=50 $(BIN)/pytest tests/fuzz

test-devices: .venv/.installed-for-tests
	$(BIN)/pytest -n 0 tests/training/long_devices.py
	KERAS_BACKEND=jax $(BIN)/pytest -n 0 tests/training/long_devices.py

docs: .venv/.installed-for-docs
	$(BIN)/python docs/make_examples.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: .venv/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test-tfio: .venv-tfio/.installed
	.venv-tfio/bin/pytest -n 0 tests/legacy/test_tfio.py

test-tfa: .venv-tfa/.installed .venv/.installed-for-tests
	.venv-tfa/bin/python tests/make_tfa.py .venv-tfa/oracles
	TFA_ORACLES=.venv-tfa/oracles $(BIN)/pytest -n 0 tests/legacy/test_tfa.py

clean:
	rm -rf .venv .venv-tfio .venv-tfa demo build dist site *.egg-info .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# Stamps are written last, so that a step that was broken off is done again.
.venv/.made .venv-tfio/.made .venv-tfa/.made:
	$(PYTHON) .ci/make_venv.py $(@D)
	touch $@

.venv/.installed: .venv/.made setup.cfg pyproject.toml
	$(BIN)/pip install --editable .
	touch $@

.venv/.installed-for-tests: .venv/.made setup.cfg pyproject.toml
	$(BIN)/pip install --editable '.[test]'
	touch $@ .venv/.installed

.venv/.installed-for-docs: .venv/.made setup.cfg pyproject.toml
	$(BIN)/pip install --editable '.[docs]'
	touch $@ .venv/.installed

.venv-tfio/.installed: .venv-tfio/.made setup.cfg pyproject.toml
	.venv-tfio/bin/pip install --editable '.[tfio]' 'pytest >= 8.0' 'pytest-xdist >= 3.5'
	touch $@

.venv-tfa/.installed: .venv-tfa/.made
	.venv-tfa/bin/pip install tensorflow==2.15.1 tensorflow-addons==0.23.0
	touch $@
