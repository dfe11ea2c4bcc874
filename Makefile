# make run    sets up .venv and runs the main job on the built-in data
# make test   sets up .venv and runs the tests, with the examples in docstrings
# make lint   sets up .venv and checks format, style, types and spelling
# make clean  removes .venv and build outputs
# PYTHON and TORCH can be set: make test PYTHON=python3.12 TORCH="torch==2.13.0"
# TORCH_OPTIONS are options of pip for torch. On Linux without a GPU: make run TORCH_OPTIONS="--index-url ADDRESS", with the address
# that https://pytorch.org/get-started gives for CPU. The default build brings 5.9 GB of GPU libraries.

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_OPTIONS ?=
BIN = .venv/bin

.PHONY: run test lint clean

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(TORCH_OPTIONS) "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[test]"
	touch $@

run: .venv/installed
	$(BIN)/python run_recbole_sda.py --model=SASRec_SDA --dataset=Amazon_Sports

test: .venv/installed
	$(BIN)/python -m pytest

.venv/linted: .venv/installed
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

lint: .venv/linted
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell recbole_sda dataset_prep tests docs README.md CHANGELOG.md

clean:
	rm -rf .venv build dist *.egg-info
