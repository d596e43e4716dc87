# Everything runs in .venv, which `make setup` builds from nothing.
PYTHON ?= python3
BIN := .venv/bin
# A process for each core, each of about 1 GB; one that is done takes over half of what another has before it.
WORKERS := -n auto --maxprocesses 8 --dist worksteal
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)

.PHONY: setup run test slow gpu floors check format reports clean

setup: .venv/ready

# Python files are compiled on all cores (pip uses one); a few are templates, which fail.
.venv/ready: requirements.txt constraints.txt $(PROJECTS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt -e '.[test]'
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
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

# Compares a GPU with the CPU, step by step, and with stored rows; fails where there is no GPU.
gpu: setup
	$(BIN)/python -c "import sys, torch; torch.cuda.is_available() or sys.exit('gpu: no GPU that torch can use: nothing was compared')"
	$(BIN)/python -m pytest -m gpu

# The oldest supported versions of all dependencies, but the pinned version of torch: `make floors TORCH=2.6.0` takes its
# oldest one, a download of gigabytes. Old versions warn of what newer ones of other libraries have changed since, so
# warnings are no errors here.
OLDEST := .venv-floors
FLOORS := tests/contracts tests/metrics tests/catalog tests/store tests/suite tests/plan tests/cli \
    tests/report/figures tests/report/render tests/test_smoke.py $(wildcard plugins/*/tests/test_*.py) \
    plugins/hashers/tests/backbones plugins/defenses/tests/denoisers plugins/defenses/tests/diffusion

floors:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check packaging
	$(OLDEST)/bin/python .ci/floors.py > $(OLDEST)/constraints.txt
	$(if $(TORCH),echo torch==$(TORCH),grep '^torch==' constraints.txt) >> $(OLDEST)/constraints.txt
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check -c $(OLDEST)/constraints.txt \
	    -e . $(addprefix -e ,$(wildcard plugins/*/)) pytest pytest-xdist hypothesis h5py scipy
	$(OLDEST)/bin/python -m pytest $(WORKERS) -W default -m "not slow and not gpu" $(FLOORS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv $(OLDEST) .retbench
