# Every target sets up .venv first; once that is up to date it costs nothing.
PYTHON ?= python3
PROFILE ?= digits
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOTEBOOKS := $(wildcard notebooks/[0-9][0-9]-*.ipynb)
# e.g. make study PROFILE=mnist OPTIONS="--only 03 -p n_seeds=5"
OPTIONS ?=
# tests to run: kills, clusters and whole studies are marked slow
MARK ?= not slow

.DEFAULT_GOAL := help
.PHONY: help setup study figures claims test bench speed lab site clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'
	@echo 'Variables: PROFILE=$(PROFILE) PYTHON=$(PYTHON) OPTIONS="--only 03 --workers 2 -p name=value"'

# what git sees of a saved notebook: no outputs, and no more of its kernel than is committed
INFO := metadata.language_info
FILTER := $(BIN)/nbstripout --keep-id --extra-keys "$(INFO).codemirror_mode $(INFO).file_extension \
  $(INFO).mimetype $(INFO).nbconvert_exporter $(INFO).pygments_lexer $(INFO).version"

setup: $(STAMP)  ## make the environment in .venv, let git see notebooks without outputs
	@git config filter.notebook.clean '$(FILTER)' 2>/dev/null || true

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, $(PYTHON) is not; try make PYTHON=python3.12" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

study: $(STAMP)  ## run all notebooks, write figures/PROFILE, print the claims
	@$(BIN)/python -m helpers study --profile $(PROFILE) $(OPTIONS)

figures: $(STAMP)  ## redraw from stored or published results, training nothing
	@$(BIN)/python -m helpers figures --profile $(PROFILE) $(OPTIONS)

claims: $(STAMP)  ## print the ledger of claims with verdicts
	@$(BIN)/python -m helpers claims --profile $(PROFILE)

test: $(STAMP)  ## ruff, clean notebooks, the tests; MARK= runs the slow ones too, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(NOTEBOOKS),$(BIN)/nbstripout --verify --keep-id $(NOTEBOOKS))
	$(BIN)/python -m pytest -q -n 2 -m "$(MARK)"

bench: $(STAMP)  ## time our methods against their peers, alone on the machine (OPTIONS=--quick: small sizes)
	$(BIN)/python tests/benchmarks/run.py --install $(OPTIONS)

speed: $(STAMP)  ## images/s of training beside a plain PyTorch loop (OPTIONS=--publish: TRAINING.md)
	$(BIN)/python tests/benchmarks/training.py $(OPTIONS)

lab: setup  ## open JupyterLab on the repository, the notebooks shown
	$(BIN)/jupyter lab --config=notebooks/lab_config.py $(OPTIONS)

site: $(STAMP)  ## README and published notebooks as pages in site/, to read offline
	$(BIN)/python -m pip install --quiet --editable '.[site]'
	@$(BIN)/python -m helpers site $(OPTIONS)

clean:  ## remove what runs wrote; results, downloads and .venv stay
	rm -rf notebooks/executed $(filter-out figures/published,$(wildcard figures/*))
	rm -rf .pytest_cache .ruff_cache .hypothesis .benchmarks build site
