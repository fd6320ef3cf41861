# The only entry point: people and CI call these and nothing else. `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup packages demo build build-tests test check fmt conformance kill clients sail gpio s3 instructions instructions-table bench fuzz root-hashes clean

# One selection of crates for every command, so that cargo builds nothing twice.
CARGO_SELECTION := --workspace --locked
# A protoc that is left on a machine must hide nothing: the protos compile without one.
export PROTOC := /there/is/no/protoc
export CARGO_TERM_PROGRESS_WHEN ?= auto

BIN := target/debug
VENV := .venv
SAIL_VENV := .venv-sail
GPIO_VENV := .venv-gpio
PYTHON := $(VENV)/bin/python
# The hook that keeps bytecode out of the tree.
export PYTHONDONTWRITEBYTECODE := 1

KILLS ?= 10
FUZZ_SECONDS ?= 60
# Names of targets; empty for all.
FUZZ_TARGETS ?=
BENCH_KIT ?= ../shared/bench
BENCH_WORKLOADS ?= W1*,W2,W3,W5,W6
BENCH_SYSTEMS ?= *
BENCH_ROUNDS ?= 1

help: ## List what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: packages $(VENV)/stamp ## Install what the build and the tests need; does nothing if all is there

packages:
	@setup/packages.sh

# Made anew when the lock file changes.
$(VENV)/stamp: tests/clients/requirements.lock
	@setup/packages.sh
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -r tests/clients/requirements.lock
	touch $@

build: packages ## Build every crate
	cargo build $(CARGO_SELECTION)

demo: build ## Start a hub, push real files, search, export; needs no Python packages
	$(BIN)/ukimet demo --exit

# With the tests' own features, so that what follows a test run builds nothing again.
build-tests: packages
	cargo build $(CARGO_SELECTION) --all-targets

test: setup build-tests ## Everything that must hold: crates, conformance, real clients, kill -9
	cargo test $(CARGO_SELECTION) --no-fail-fast
	$(MAKE) --no-print-directory conformance clients kill

conformance: build-tests ## Ask a live hub and a live adapter every requirement
	python3 tests/conformance.py

clients: build-tests $(VENV)/stamp ## Real clients against a live hub
	$(PYTHON) -m pytest -q tests/clients -c tests/clients/pytest.ini -p no:cacheprovider

$(SAIL_VENV)/stamp: tests/sail/requirements.lock
	rm -rf $(SAIL_VENV)
	python3 -m venv $(SAIL_VENV)
	$(SAIL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

sail: build-tests $(SAIL_VENV)/stamp ## Sail with two workers reads Delta logs (600 MB of Python packages, not in make test)
	$(SAIL_VENV)/bin/python -m pytest -q tests/sail -c tests/clients/pytest.ini --rootdir tests/sail -p no:cacheprovider

$(GPIO_VENV)/stamp: tests/gpio/requirements.lock
	rm -rf $(GPIO_VENV)
	python3 -m venv $(GPIO_VENV)
	$(GPIO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

gpio: build-tests $(GPIO_VENV)/stamp ## GeoParquet of downloads and exports keeps its specification (600 MB of Python packages, not in make test)
	$(GPIO_VENV)/bin/python -m pytest -q tests/gpio -c tests/clients/pytest.ini --rootdir tests/gpio -p no:cacheprovider

s3: build-tests $(VENV)/stamp ## Two hubs on one Ceph, killed and cut off KILLS times (Debian packages of Ceph, not in make test)
	$(PYTHON) tests/store/nodes.py --kills $(KILLS)

kill: build-tests $(VENV)/stamp ## Kill hub, backups and restores KILLS times during pushes; nothing acknowledged may be lost
	$(PYTHON) tests/kill/kill.py --kills $(KILLS)
	$(PYTHON) tests/kill/backup.py --kills $(KILLS)

check: packages ## Format, lints, one version of each family, crate arrows, house rules
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy $(CARGO_SELECTION) --all-targets -- -D warnings
	@echo "one version of each family:"
	@! cargo tree --locked --workspace -d --depth 0 \
	  | grep -E '^(arrow|parquet|datafusion|tonic|prost|object_store|gdal-sys)[a-z-]* v' \
	  || { echo "the crates above are there twice: their types do not fit each other"; exit 1; }
	python3 tests/crates.py
	python3 tests/house_rules.py
	@tests/cargo-deny.sh

root-hashes: ## Write the list of root hashes anew, after rules were changed on purpose
	UKIMET_WRITE_ROOT_HASHES=1 cargo test $(CARGO_SELECTION) --test e2e root_hashes::the_same_bytes

fmt: ## Format every crate
	cargo fmt --all

instructions: packages ## Count the instructions of the hot kernels and compare them with bench/kernels/instructions.toml
	python3 bench/instructions.py

instructions-table: packages ## Write that table anew, after kernels were changed on purpose
	python3 bench/instructions.py --write

bench: packages ## Time the kernels, then workloads of the benchmark kit with this hub among the peers, and a table of ratios (BENCH_KIT, BENCH_WORKLOADS, BENCH_SYSTEMS)
	@test -f "$(BENCH_KIT)/bench.py" || { echo "there is no benchmark kit in $(BENCH_KIT); set BENCH_KIT"; exit 1; }
	cargo build --release $(CARGO_SELECTION)
	cargo bench $(CARGO_SELECTION) --bench kernels
	bench/run.sh "$(BENCH_KIT)" -w '$(BENCH_WORKLOADS)' -s '$(BENCH_SYSTEMS)' -r $(BENCH_ROUNDS)

fuzz: packages ## Fuzz every decoder of foreign bytes for FUZZ_SECONDS each (FUZZ_TARGETS); needs cargo-fuzz
	fuzz/run.sh "$(FUZZ_SECONDS)" $(FUZZ_TARGETS)

clean: ## Remove what was built and installed here
	cargo clean
	rm -rf $(VENV) $(SAIL_VENV) bench/work
