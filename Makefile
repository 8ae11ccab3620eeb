# The two commands of the README are `make demo` and `make test`; each does all its set-up on a fresh machine.

TARGET  := $(shell rustc -vV | sed -n 's/^host: //p')
RELEASE := target/$(TARGET)/release
# Static: the binary runs on any Linux of this architecture, and inside an empty root file system. At a fixed address:
# a position-independent program of this size patches some thousand pages of itself at every start, and each pod's
# supervisor would start more slowly and keep its own copy of them.
STATIC  := RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static"

.PHONY: setup build examples demo test bench chaos fmt

setup: ## installs what building, the demo and the tests need; does nothing when it is there
	@tools/setup

build: setup ## the release binary, static
	@$(STATIC) cargo build --quiet --release --target $(TARGET) -p dory
	@echo "$(RELEASE)/dory"

examples: setup ## the example server and function, and the tests' clients, static
	@$(STATIC) cargo build --quiet --release --target $(TARGET) --manifest-path examples/api-service/Cargo.toml --target-dir target/examples
	@$(STATIC) cargo build --quiet --release --target $(TARGET) --manifest-path examples/hello/Cargo.toml --target-dir target/examples
	@$(STATIC) cargo build --quiet --release --target $(TARGET) --manifest-path tests/clients/extension/Cargo.toml --target-dir target/examples

demo: ## the main job: one binary, a Deployment and two functions, called through one gateway
	@tools/demo

test: ## format, lints, the laws of the house, unit tests, and the real clients
	@tools/test

bench: ## one JSON line per figure; with PEERS=1 also beside other local Lambdas
	@PEERS=$(PEERS) $(STATIC) tools/bench

chaos: ## everything called, changed and killed at once, for SECONDS (600; 3000 also measures what memory grows by)
	@tools/chaos $(or $(SECONDS),600)

fmt:
	@cargo fmt --all
