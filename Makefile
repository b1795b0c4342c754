# Only Python 3.11+ and make are needed: everything else is installed into .venv, from the pins in requirements.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quick taste setup test lint benchmark reference verify paper readme clean help

quick: setup ## set up and run the quick study: no download, minutes (the default)
	$(BIN)/snakemake
	@echo "Open reports/quick/report.html"

taste: setup ## four learners and one seed: a first look in about a minute
	$(BIN)/snakemake --configfile config/taste.yaml
	@echo "Open reports/taste/report.html"

setup: $(READY) ## make .venv with all packages; repeated only when a pin has changed

TORCHVISION := tasks/preparation/torchvision_import.py

$(READY): requirements.txt requirements-nodeps.txt $(TORCHVISION)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: '$(PYTHON)' is not Python 3.11 or newer. Name one that is: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -r requirements-nodeps.txt
	$(BIN)/python $(TORCHVISION)
	@touch $@

# One thread per process and one process per core; the tests of a file stay together because they share slow fixtures.
test: setup ## set up and run all tests; ARGS='tests/test_x.py -k name' to choose
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope $(ARGS)

lint: setup ## style of the code and the workflow, and the borders between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports --no-cache --no-logo

benchmark: setup ## measure speed against the straightforward way, on one thread, into benchmarks/results.csv
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(ARGS)

reference: setup ## resume the reference results; can be interrupted at any time
	$(BIN)/python -m bench reference config/reference.yaml

verify: setup ## test the committed weights again and compare; RUN=omniglot/5way_1shot/protonet/seed0 to choose
	$(BIN)/python -m bench reproduce --weights $(RUN)

# What paper.yaml cannot hold: other splits of the same data, learners for one kind of tasks only. PROFILE=slurm for a cluster.
EVERYTHING := paper sinusoid_noisy memorisation polynomials omniglot_lake
PROFILE ?= default

paper: setup ## everything: paper.yaml, then the four studies of tasks that it cannot hold; PROFILE=slurm
	for study in $(EVERYTHING); do $(BIN)/snakemake --workflow-profile profiles/$(PROFILE) --configfile config/$$study.yaml || exit 1; done

readme: setup ## write tables, pages and READMEs of the reference results
	$(BIN)/python -m bench reference --report
	$(BIN)/python -m bench readme

clean: ## remove the quick study and all caches; other studies, data and .venv stay
	rm -rf results/quick reports/quick logs/quick .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'
