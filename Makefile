# Thin: what there is to run, and nothing else.

.PHONY: help test demo bench programs build fmt

help:
	@echo "make test    everything that has to pass (needs Rust, Go, Python and a C compiler)"
	@echo "make demo    the main job on an embedded control plane (PROVIDER=dce|keystone|cloudcenter|cloudmc|soda, KEEP=1 to leave it up)"
	@echo "make bench   figures, in a release build"
	@echo "make build   the operator, in a release build"

test:
	@scripts/test.sh

demo: programs
	@$${CARGO_TARGET_DIR:-target}/release/demo

bench: programs
	@$${CARGO_TARGET_DIR:-target}/release/bench

programs:
	@cargo build --release --locked --workspace --bins

build:
	cargo build --release --bin credential-operator

fmt:
	cargo fmt --all
