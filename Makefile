# Every verb says what it does behind two hashes; `make` alone prints them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first interpreter that is new enough; override with PYTHON=...
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$each"; break; }; done)

VENV   := .venv
PY     := $(VENV)/bin/python
RUST   := $(shell find crates Cargo.toml Cargo.lock rust-toolchain.toml .cargo -type f -not -path '*/tests/*' 2>/dev/null)
# cargo-nextest where it is installed, else cargo's own runner.
RUNNER := $(shell cargo nextest --version >/dev/null 2>&1 && echo 'nextest run --no-fail-fast' || echo 'test --no-fail-fast')
# The door's crate needs a libpython to link a test binary; it is tested from Python.
TESTED := -p headway-core -p headway-engines

.PHONY: help setup build demo test test-rust test-python check format bench instructions soak loom lock ci clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

# ---- setting up -------------------------------------------------------------------------------------------------

$(PY):
	@[ -n "$(PYTHON)" ] || { echo "error: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is no Python 3.11 or newer" >&2; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "error: $(PYTHON) cannot make virtual environments (on Debian and Ubuntu: install python3-venv)" >&2; exit 1; }

$(VENV)/.ready: $(PY) pyproject.toml requirements.lock $(RUST)
	@command -v cargo >/dev/null || { echo "error: no cargo found; install Rust 1.88 or newer (rustup.rs)" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "error: no C compiler (cc) found; Rust links with it" >&2; exit 1; }
	@echo "installing headway into $(VENV): Python packages, then a release build (a minute or two the first time)"
	@MATURIN_NO_INSTALL_RUST=1 $(PY) -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev]"
	@touch $@

setup: $(VENV)/.ready ## Create .venv with everything in it
build: $(VENV)/.ready ## Build the native part again if its sources changed

# ---- using it ---------------------------------------------------------------------------------------------------

demo: build ## Classify photographs, then race a plain onnxruntime loop
	@$(VENV)/bin/headway demo

bench: build ## Measure against onnxruntime, side by side; ARGS="rivals --rounds 11" chooses
	@$(PY) -m benches $(ARGS)

instructions: build ## Count the instructions of a request against their bounds (needs valgrind)
	@if command -v valgrind >/dev/null; then $(PY) -m benches instructions --output .cache/benches; \
		else echo "instructions: not counted, valgrind is not installed"; fi

SECONDS_OF_SOAK ?= 1800
soak: build ## Mixed load for half an hour: nothing lost, memory flat; SECONDS_OF_SOAK=60 for a short one
	@$(PY) -m benches.mixed_soak --seconds $(SECONDS_OF_SOAK)

# ---- testing it -------------------------------------------------------------------------------------------------

test: test-rust test-python ## Run every test, Rust and Python

test-rust: build ## Run the Rust tests
	@HEADWAY_PYTHON="$(CURDIR)/$(PY)" cargo $(RUNNER) $(TESTED)

test-python: build ## Run the Python tests; ARGS="-k name" chooses
	@# The stand-in for Rockchip's runtime first: building it takes longer than a test may.
	@cargo build --quiet -p headway-rknn-standin
	@$(PY) -m pytest $(ARGS)

loom: ## Try the core's lock under every interleaving of a few threads
	@RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom LOOM_MAX_PREEMPTIONS=2 \
		cargo test --release -p headway-core --test 'loom*'

check: build ## Lint, types, and the stub against the binary
	@cargo fmt --check
	@cargo clippy --quiet --workspace --all-targets -- -D warnings
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(PY) -m mypy
	@$(PY) -m mypy.stubtest headway._core --allowlist scripts/stubtest.allow --mypy-config-file pyproject.toml

format: build ## Format Rust and Python
	@cargo fmt
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

ci: check loom instructions ## What CI runs: check, loom, counts, the README's own test command, a minute of soak
	@command="$$(scripts/readme-test-command)"; echo "README: $$command"; eval "$$command"
	@$(MAKE) soak SECONDS_OF_SOAK=60

# ---- keeping it -------------------------------------------------------------------------------------------------

lock: ## Write requirements.lock anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate \
		--no-emit-package headway pyproject.toml -o requirements.lock

clean: ## Remove everything that was built
	@rm -rf $(VENV) target dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find python tests benches examples -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -f python/headway/_core.*.so python/headway/_core.*.pyd
