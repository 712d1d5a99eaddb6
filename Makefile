# What people type. Everything is built with one selection of packages (`--workspace`) and one profile (`quick`), so
# that the demo, the tests and the lints share their artefacts: see docs/decisions/2026-11-20-quick-profile.md.

CARGO ?= cargo
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
TICKHOUSE := $(TARGET)/quick/tickhouse
RELEASED := $(TARGET)/release/tickhouse

.PHONY: help build demo test bench soak release generate tidy

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

build: ## Build quick/tickhouse under the target folder
	$(CARGO) build --locked --profile quick --workspace

demo: build ## Build, then run simulated venues and the platform on loopback (ARGS="--port 9000 --seed 7")
	$(TICKHOUSE) demo $(ARGS)

test: ## The whole gate: format, tidy, lints, tests of Rust, web and Python
	$(CARGO) xtask ci

tidy: ## Only the house rules, in seconds
	$(CARGO) xtask tidy

generate: ## Renew the generated references (api/, docs/reference/)
	$(CARGO) xtask generate

bench: ## Measure; what is measured and how to read it stands in docs/performance.md
	$(CARGO) xtask bench $(ARGS)

soak: build ## One hundred kill -9 and the other long journeys, in real time
	$(CARGO) xtask soak $(ARGS)

release: ## Build the optimised binary and pack it with its licences
	$(CARGO) xtask release
