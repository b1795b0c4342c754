# Only Python 3.11+ and make are needed: everything else is installed into .venv, from the pins in requirements*.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_TESTS := $(VENV)/ready-tests
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# Snakemake keeps a cache in the home folder. Where that cannot be written, the cache is here.
ifneq ($(shell test -w "$$HOME" && test -d "$$HOME" && echo yes),yes)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif

.PHONY: quick taste setup setup-tests test lint benchmark reference verify paper readme clean help

quick: setup ## set up and run the quick study: no download, minutes (the default)
	$(BIN)/snakemake
	@echo "Open $${REPORTS_ROOT:-reports}/quick/report.html"

taste: setup ## four learners and one seed: a first look in about a minute
	$(BIN)/snakemake --configfile config/taste.yaml
	@echo "Open $${REPORTS_ROOT:-reports}/taste/report.html"

setup: $(READY) ## make .venv with all packages; repeated only when a pin has changed

TORCHVISION := tasks/preparation/torchvision_import.py

# A machine without an NVIDIA GPU needs no CUDA, which is gigabytes: a CPU build, if an index of them answers. CPU_INDEX= asks none.
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell grep '^torch==' requirements.txt)

$(READY): requirements.txt requirements-nodeps.txt $(TORCHVISION)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: '$(PYTHON)' is not Python 3.11 or newer. Name one that is: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ -n "$(CPU_INDEX)" ] && [ "$$(uname)" = Linux ] && ! command -v nvidia-smi > /dev/null; then \
	  echo "no NVIDIA GPU here: looking for a CPU build of $(TORCH)"; \
	  $(PIP) --no-deps --timeout 5 --retries 0 --index-url $(CPU_INDEX) $(TORCH) || \
	  echo "no index of CPU builds answers: taking the build that pip finds"; fi
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -r requirements-nodeps.txt
	$(BIN)/python $(TORCHVISION)
	@echo "compiling the modules that the benchmark imports (pip would compile all others, too, for a minute)"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import bench.protocol.train, bench.protocol.test, bench.statistics.summarize, bench.report.report, snakemake.cli'
	@echo "torch $$($(BIN)/python -c 'from importlib.metadata import version; print(version("torch"))'); $(VENV): $$(du -sh $(VENV) | cut -f 1)B"
	@touch $@

setup-tests: $(READY_TESTS) ## make .venv with what tests and lint need, too

$(READY_TESTS): $(READY) requirements-tests.txt
	$(PIP) -r requirements-tests.txt
	@touch $@

# One thread per process and one process per core; the tests of a file stay together because they share slow fixtures.
test: setup-tests ## set up and run all tests; ARGS='tests/test_x.py -k name' to choose
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope $(ARGS)

lint: setup-tests ## style of the code and the workflow, and the borders between the rooms
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
