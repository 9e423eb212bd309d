#!/usr/bin/env bash
# Everything that has to pass, in the order in which it fails soonest. Ends with a count.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "== formatting"
cargo fmt --all --check

echo "== lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

echo "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

echo "== tests of the documentation's examples"
cargo test --workspace --doc --locked 2>&1 | tee -a "$log"

echo "== unit tests, generated files, dependencies"
cargo test --lib --bins --locked 2>&1 | tee -a "$log"
cargo test --locked --test generated --test dependencies --test docs 2>&1 | tee -a "$log"

echo "== every kind of credential against every bad answer"
cargo test --locked --test conformance -- --nocapture 2>&1 | tee -a "$log"

echo "== the test kit itself"
cargo test -p testkit --tests --locked 2>&1 | tee -a "$log"

echo "== end to end, on a real API server"
# The stories wait most of the time; more of them than there are cores run side by side.
cargo test --locked --test e2e -- --test-threads="${E2E_THREADS:-4}" 2>&1 | tee -a "$log"

awk '/^test result:/ {passed += $4; failed += $6} END {printf "%d passed, %d failed\n", passed, failed}' "$log"
