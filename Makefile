.DEFAULT_GOAL := help
SHELL := /bin/bash
export PYTHON ?= python3
BIN := .venv/bin
PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadscope --no-loadscope-reorder

.PHONY: help setup demo test test-all check lint types gpu-test gpu-bench simulate cases chaos drill dashboards bench-env bench wheel-test clean

help:  ## What can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup:  ## Install into .venv (CUDA=1: GPU builds)
	@scripts/setup.sh run

demo:  ## Set up, then run the whole path on real purchases, with a real Kafka
	@scripts/setup.sh run
	@$(BIN)/muse-stream demo

test:  ## Set up, then pass the tests: lint, types, unit, property, Kafka integration (PROCESSES=2)
	@scripts/setup.sh dev
	@$(MAKE) --no-print-directory check
	$(PYTEST) -m "not slow and not gpu"

test-all:  ## Everything, the slow tests included
	@scripts/setup.sh dev
	@$(MAKE) --no-print-directory check
	$(PYTEST)
	@$(MAKE) --no-print-directory wheel-test

check: lint types

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

gpu-test:  ## The engine's whole property suite on an NVIDIA GPU (CASES=, SEED=; PYTHON= NO_SETUP=1: download nothing)
	@scripts/gpu.sh test

gpu-bench:  ## Figures of this GPU, into benchmarks/results and as a table (ARGS=; PYTHON= NO_SETUP=1: download nothing)
	@scripts/gpu.sh bench $(ARGS)

simulate:  ## A hundred thousand crash schedules of stores and ingest (SEEDS=, START=)
	@scripts/setup.sh dev
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),100000) --start $(or $(START),0) --jobs $$(nproc)

cases:  ## A hundred thousand random searches, every cpu path against the definition, bit for bit (CASES=, SEED=)
	@scripts/setup.sh dev
	$(BIN)/python -m tests.gsu_engine.cases --cases $(or $(CASES),100000) --seed $(or $(SEED),1) --jobs $$(nproc)

chaos:  ## Workers and Kafka killed, stopped, restarted under load, then all compared (CHAOS_SECONDS=, CHAOS_KILLS=, SEED=)
	@scripts/setup.sh dev
	$(BIN)/python -m tests.chaos --seconds $(or $(CHAOS_SECONDS),300) --seed $(or $(SEED),1) $(if $(CHAOS_KILLS),--kills $(CHAOS_KILLS))

drill:  ## Real workers under a real Prometheus, broken on purpose: do the right alarms go off? (FAULTS=a,b; needs prometheus, gcc)
	@scripts/setup.sh dev
	$(BIN)/python -m tests.drill $(if $(FAULTS),--faults "$(FAULTS)")

dashboards:  ## Write the Grafana boards' JSON from deploy/dashboards
	@scripts/setup.sh dev
	$(BIN)/python -W ignore::DeprecationWarning -m deploy.dashboards

bench-env:  ## A second environment, .bench-venv, with the libraries we compare with
	@scripts/bench_env.sh

bench:  ## All benchmarks, as tables (see benchmarks/README.md)
	@scripts/setup.sh dev
	$(BIN)/muse-stream bench all

wheel-test:  ## Build the wheel, install it in an empty environment outside the checkout, run the demo there
	@scripts/wheel_test.sh

clean:  ## Remove environments and caches
	rm -rf .venv .bench-venv .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
