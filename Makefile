PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help install demo dev test check bench faults lint format types contracts migrations-check migration lock clean

help:  ## Print these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## Install everything into .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Stock Tracker needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo "Installing into .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## Play the whole flow once, in the sandbox; REAL=1 with WB_API_KEY: against the real marketplace
	@$(BIN)/stock-tracker dev --once $(if $(REAL),--real)

dev: $(READY)  ## Run everything on this machine until Ctrl-C
	@$(BIN)/stock-tracker dev

# In the order of the folders: by itself xdist puts files with few tests last, and the fault programme is one test of more than two minutes.
test: $(READY)  ## Run every test
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: lint types contracts migrations-check test  ## All that must hold, as CI runs it

lint: $(READY)  ## Style and faults
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY)  ## Put the code into form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(READY)  ## Types, strictly
	@$(BIN)/pyright

contracts: $(READY)  ## Who may import whom
	@$(BIN)/lint-imports

migrations-check: $(READY)  ## Tables and migrations agree
	@DATABASE_URL=postgresql://unused REDIS_URL=redis://unused $(BIN)/stock-tracker migrate --check

bench: $(READY)  ## Measure, beside the floor
	@$(BIN)/python -m benchmarks

faults: $(READY)  ## Break everything again and again, and see what holds; FAULTS_MINUTES=10, FAULTS_SEED=… repeats a schedule
	@$(BIN)/python -m tests.faults

migration: $(READY)  ## Write a migration for changed tables: make migration NAME="stock history"
	@$(BIN)/piccolo migrations new app --auto --desc="$(NAME)"

lock: $(READY)  ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
		--no-strip-extras --allow-unsafe --upgrade --extra dev --extra test --output-file requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
		--no-strip-extras --allow-unsafe --constraint requirements.lock --output-file requirements.production.lock pyproject.toml

clean:  ## Remove what was installed and kept
	rm -rf .venv .data
