# Everything runs in .venv, which `make setup` builds from nothing.
PYTHON ?= python3
BIN := .venv/bin
# A process for each core, each of about 1 GB; one that is done takes over half of what another has before it.
WORKERS := -n auto --maxprocesses 8 --dist worksteal
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)

.PHONY: setup run test slow gpu check format reports clean

setup: .venv/ready

.venv/ready: requirements.txt constraints.txt $(PROJECTS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

run: setup
	$(BIN)/retbench run suites/unimodal.yaml
	$(BIN)/retbench report suites/unimodal.yaml
	$(BIN)/retbench report suites/unimodal.yaml --out .retbench/reports

reports: setup
	for suite in unimodal untargeted transfer ablation crossmodal; do \
	    $(BIN)/retbench run suites/$$suite.yaml && $(BIN)/retbench report suites/$$suite.yaml --out reports || exit 1; \
	done
	$(BIN)/retbench run suites/crossmodal.yaml --profile strength
	$(BIN)/retbench report suites/crossmodal.yaml --profile strength --out reports

test: setup
	$(BIN)/python -m pytest $(WORKERS) -m "not slow and not gpu"

slow: setup
	$(BIN)/python -m pytest $(WORKERS) -m "slow and not gpu"

gpu: setup
	$(BIN)/python -m pytest -m gpu

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .retbench
