# make run    sets up .venv and runs the main job on the built-in data
# make test   sets up .venv and runs the tests, with the examples in docstrings
# make lint   sets up .venv and checks format, style, types and spelling
# make docs   sets up .venv and builds the documentation site into build/site, with strict links
# make figures  makes every figure and printed output of the documentation again; minutes
# make dist   sets up .venv, builds the sdist and the wheel into dist, and checks them
# make clean  removes .venv and build outputs
# PYTHON and TORCH can be set: make test PYTHON=python3.12 TORCH="torch==2.13.0"
# TORCH_OPTIONS are options of pip for torch. On Linux without a GPU: make run TORCH_OPTIONS="--index-url ADDRESS", with the address
# that https://pytorch.org/get-started gives for CPU. The default build brings 5.9 GB of GPU libraries.

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_OPTIONS ?=
BIN = .venv/bin

.PHONY: run test lint docs figures dist clean

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
	$(BIN)/codespell recbole_sda dataset_prep tests docs README.md CHANGELOG.md CONTRIBUTING.md

.venv/documented: .venv/installed
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@

docs: .venv/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

figures: .venv/installed
	$(BIN)/python docs/make_outputs.py

dist: .venv/installed
	$(BIN)/python -m pip install --quiet -e ".[release]"
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf .venv build dist *.egg-info
