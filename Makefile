# make demo   turn a singing voice into a violin, into demo/
# make test   run the default suite on TensorFlow, JAX and PyTorch
# make test-devices   train every family on four virtual devices, and as docs/scaling.md does on many machines
# make lint   what .ci/run checks besides the tests
# make clean  remove everything that these commands made
#
# Each makes its own .venv. Another Python: make PYTHON=python3.12 demo

PYTHON = python3
BIN = .venv/bin

.NOTPARALLEL:
.PHONY: help demo test test-devices lint clean

help:
	@sed -n 's/^# make/make/p' Makefile

demo: .venv/.installed
	$(BIN)/audiozoo demo --out demo

test: .venv/.installed-for-tests
	$(BIN)/pytest

test-devices: .venv/.installed-for-tests
	$(BIN)/pytest -n 0 tests/training/long_devices.py

lint: .venv/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# Stamps are written last, so that a step that was broken off is done again.
.venv/.made:
	$(PYTHON) .ci/make_venv.py .venv
	touch $@

.venv/.installed: .venv/.made setup.cfg pyproject.toml
	$(BIN)/pip install --editable .
	touch $@

.venv/.installed-for-tests: .venv/.made setup.cfg pyproject.toml
	$(BIN)/pip install --editable '.[test]'
	touch $@ .venv/.installed
