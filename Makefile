# Thin lines only: what is longer lives in scripts/ (shell) and xtask/ (Rust).
.NOTPARALLEL:
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(HOME)/.cache/computepool/target
# Node.js is there where the system's own is too old for the page.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/computepool/node/bin:$(PATH)

COMPUTEPOOL := $(CARGO_TARGET_DIR)/debug/computepool
XTASK := $(CARGO_TARGET_DIR)/debug/xtask

# Acceptance targets do their own set-up and end in one line: RESULT <target> ok|fail key=value …
ACCEPTANCE := demo test bench memory conformance lab simulate contracts gas deploy-test chaos fuzz e2e screens window-test owner-first engine-cuda gpu-test lint
.PHONY: help app bindings desktop page $(ACCEPTANCE) $(ACCEPTANCE:=-steps) up chat setup foundry sample-model binaries clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a real model, split over three processes, answers a question
test: ## builds everything and runs every test
bench: ## tokens per second: unsharded, 2 and 3 shards, as ratios
memory: ## peak memory of each engine, beside its limit and the estimate
conformance: ## other people's suites and implementations against ours (long)
lab: ## six homes behind NATs in network namespaces: joining, losing nodes, being attacked (needs root)
simulate: ## planner against brute force, and a day of 1,000 simulated nodes
contracts: ## Solidity: format, sizes, tests on the real Superfluid, generated files, gas, Slither
deploy-test: ## deploys to an empty chain, twice, and while being killed at five points
chaos: ## 200 paid generations while processes die and the chain lies; then every unit is counted
gas: ## what sessions and coalitions cost on chain, for 2, 4 and 8 operators
e2e: ## a real browser on a real host: from the first start to the money (needs chromium)
window-test: ## the real window: tray, closing, links, a second start, quitting; and what it costs at rest
screens: ## a picture of every page, light and dark, empty and full, into docs/screens
owner-first: ## an owner comes back in eight ways: how soon the machine is theirs again, and who is harmed
fuzz: ## 10,000 mutated frames and requests, and a bounded libFuzzer run where it can be built
engine-cuda: ## compiles the CUDA engine; needs no GPU (downloads 1.2 GB)
gpu-test: ## the engine's tests on this machine's GPU
lint: ## formatting, clippy, docs, licences
$(ACCEPTANCE):
	@scripts/result $@ $(MAKE) --no-print-directory $@-steps

up: sample-model binaries foundry ## keeps the demo's network running and prints its endpoint; Ctrl-C drains
	@$(COMPUTEPOOL) up $(ARGS)

app: sample-model binaries foundry page ## the desktop application in its window, with a network of play money around it
	@scripts/setup shell
	@cd src-tauri && cargo build
	@$(CARGO_TARGET_DIR)/debug/computepool-desktop --trial --data $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/computepool/trial $(ARGS)

desktop: sample-model binaries foundry page ## the same in a browser, with a network of play money around it
	@$(COMPUTEPOOL) desktop --trial --page ui/dist $(ARGS)

page: ## builds the page
	@scripts/setup ui
	@cd ui && npm run --silent build

chat: sample-model binaries ## a terminal chat with the network that `make up` started
	@$(COMPUTEPOOL) chat $(ARGS)

setup: ## installs what is missing: C compiler, Rust, Python
	@scripts/setup c rust python

sample-model: setup ## fetches and checks the sample model (98 MB, once)
	@scripts/sample-model

foundry: setup
	@scripts/setup foundry

clean: ## removes what was built (not the models)
	cargo clean

bindings: ## the page's TypeScript, made from the table of commands
	@UPDATE_BINDINGS=1 cargo test --workspace --test desktop bindings

binaries: ## builds `computepool`, `computepool-engine` and xtask
	@cargo build --workspace --bins

demo-steps: sample-model binaries foundry
	@$(COMPUTEPOOL) demo $(ARGS)

test-steps: sample-model
	@scripts/setup postgres foundry screens ui
	@cd ui && npm run --silent check
	@cargo build --workspace --bins --tests --example toy_engine
	@$(XTASK) test $(ARGS)

bench-steps: sample-model binaries foundry
	@$(COMPUTEPOOL) bench $(ARGS)

memory-steps: sample-model binaries
	@$(COMPUTEPOOL) memory $(ARGS)

conformance-steps: sample-model binaries
	@scripts/setup node foundry
	@$(XTASK) conformance $(ARGS)

lab-steps: sample-model binaries
	@scripts/setup lab || true # it says itself what it lacks
	@$(CARGO_TARGET_DIR)/debug/computepool-lab run $(ARGS)

simulate-steps: setup
	@cargo build --workspace --examples
	@$(CARGO_TARGET_DIR)/debug/examples/simulate $(ARGS)

contracts-steps:
	@scripts/setup contracts
	@scripts/contracts $(ARGS)

e2e-steps: sample-model binaries foundry page
	@scripts/setup browser
	@cd ui && node e2e/e2e.mjs

window-test-steps: sample-model binaries foundry page
	@scripts/setup shell screens window
	@cd src-tauri && cargo fmt --check && cargo clippy --quiet -- --deny warnings && cargo build
	@cd ui && dbus-run-session -- xvfb-run -a node e2e/window.mjs

screens-steps: sample-model binaries foundry page
	@scripts/setup browser
	@cd ui && node e2e/screens.mjs

owner-first-steps: sample-model
	@scripts/setup screens
	@cargo build --workspace --bins --examples
	@$(CARGO_TARGET_DIR)/debug/examples/owner_first $(ARGS)

deploy-test-steps: setup
	@scripts/setup foundry
	@cargo build --workspace --examples
	@$(CARGO_TARGET_DIR)/debug/examples/deploy_test $(ARGS)

chaos-steps: sample-model
	@scripts/setup foundry
	@cargo build --workspace --bins --examples
	@$(CARGO_TARGET_DIR)/debug/examples/chaos $(ARGS)

gas-steps:
	@scripts/setup foundry
	@node contracts/chores/gas.mjs $(ARGS)

fuzz-steps: sample-model
	@cargo build --workspace --bins --tests
	@$(XTASK) fuzz $(ARGS)

engine-cuda-steps:
	@scripts/setup c rust python
	@scripts/engine-cuda $(ARGS)

gpu-test-steps: sample-model
	@scripts/gpu-test

lint-steps: setup binaries
	@$(XTASK) lint $(ARGS)
