# Every target has a sentence behind ##; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TRAIN_VENV := .venv-train
LOCKED := infra/locks/all.txt infra/locks/unresolved.txt
PROJECTS := $(wildcard contracts/*/pyproject.toml infra/*/pyproject.toml services/*/pyproject.toml)
PACKAGES := $(patsubst %/pyproject.toml,%,$(PROJECTS))
PYTEST := $(BIN)/python -m pytest
QUESTIONS := $(filter-out loadtests/machine.py loadtests/train_%.py,$(wildcard loadtests/*.py))  # those of training need its environment

.PHONY: help venv demo demo-train up down test test-model test-faults test-kills test-tampering test-train train-venv check contracts part11 bench lock tools

help: ## list the targets
	@grep -hE '^[.a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([.a-z-]+):.*## */\1\t/' | awk -F'\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

venv: $(READY) ## make .venv with everything installed, by the hashes in infra/locks

$(READY): $(LOCKED) $(PROJECTS) | tools
	@echo "installing into $(VENV) ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/locks/uv.txt || echo "uv is not to be had; pip does it, more slowly"
	@infra/locks/install $(BIN)/python $(PACKAGES)
	@touch $@

tools:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { echo "missing: Python 3.11 as $(PYTHON); install it, or name it: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@command -v gcc >/dev/null || { echo "missing: gcc, which checks answers in C; install it (Debian: apt-get install gcc libc6-dev)"; exit 1; }

demo: $(READY) ## install, start the whole stack on this machine, run real tasks, verify the ledger, stop
	@$(BIN)/tierproof demo

demo-train: $(READY) ## from records to a signed adapter that answers a task through Triton (makes .venv-train first, unless TIERPROOF_TRAINER_PYTHON is set)
	@[ -n "$${TIERPROOF_TRAINER_PYTHON:-}" ] || $(MAKE) --no-print-directory train-venv
	@TIERPROOF_TRAINER_PYTHON=$${TIERPROOF_TRAINER_PYTHON:-$(abspath $(TRAIN_VENV))/bin/python} $(BIN)/tierproof demo-train

up: $(READY) ## start the stack and leave it running
	@$(BIN)/tierproof up --detach

down: $(READY) ## stop the stack that `make up` started
	@$(BIN)/tierproof down

test: $(READY) ## unit, contract, integration and end-to-end tests (slower: make test-model test-faults)
	@$(PYTEST) -q tests/unit tests/contract
	@$(PYTEST) -q -m "not model" tests/integration
	@$(PYTEST) -q -m "not model" tests/e2e

test-model: $(READY) ## tests that need the prepared language model on the real model server
	@$(PYTEST) -m model tests/integration tests/e2e

test-faults: $(READY) ## break every part under load and check the books after each
	@$(PYTEST) tests/faults

test-train: $(READY) ## real trainings on the real base: refusals, deaths, reproduction (makes .venv-train first, as above)
	@[ -n "$${TIERPROOF_TRAINER_PYTHON:-}" ] || $(MAKE) --no-print-directory train-venv
	@TIERPROOF_TRAINER_PYTHON=$${TIERPROOF_TRAINER_PYTHON:-$(abspath $(TRAIN_VENV))/bin/python} $(PYTEST) -q -p no:randomly -m train tests/train

train-venv: $(TRAIN_VENV)/.ready ## make .venv-train, the training environment, by the hashes in infra/locks/train.txt

$(TRAIN_VENV)/.ready: infra/locks/train.txt | tools
	@[ -x $(TRAIN_VENV)/bin/python ] || $(PYTHON) -m venv $(TRAIN_VENV)
	@$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/locks/train.txt || { echo "no training environment: the lock names the build of torch for processors; name the package index that has it in PIP_EXTRA_INDEX_URL"; exit 1; }
	@touch $@

test-kills: $(READY) ## 50 kills of sequencer, PostgreSQL and nats-server during 200,000 events: none lost, none twice (TIERPROOF_KILL_SEED=N: other moments)
	@TIERPROOF_KILLS=50 TIERPROOF_KILL_EVENTS=200000 TIERPROOF_KILL_RESULT=ledger_kills $(PYTEST) -q tests/faults/evidence_ledger/test_kill_campaign.py

test-tampering: $(READY) ## 2,000 random tamperings of superusers against one ledger: verification notices every one
	@TIERPROOF_TAMPERINGS=2000 $(PYTEST) -q tests/integration/evidence_ledger/test_ledger_campaign.py

check: $(READY) ## lint, format, types, import laws, schema compatibility, READMEs against the topology
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(PACKAGES) infra/locks/lock.py
	@$(BIN)/mypy --explicit-package-bases tests
	@$(BIN)/lint-imports
	@$(BIN)/python -m tierproof_contracts check
	@$(PYTEST) -q tests/unit/laws

bench: $(READY) ## measure: one question per file in loadtests/, results as JSON
	@for question in $(QUESTIONS); do echo "$$question"; $(BIN)/python "$$question"; done

contracts: $(READY) ## write the schemas and the AsyncAPI document anew after a change of a contract
	@$(BIN)/python -m tierproof_contracts write

part11: $(READY) ## write the table of 21 CFR Part 11 into the evidence ledger's README after a change of marks
	@$(BIN)/python tests/part11.py

lock: $(READY) ## make infra/locks anew (UPGRADE=--upgrade for newer versions)
	@$(BIN)/python infra/locks/lock.py $(UPGRADE)
