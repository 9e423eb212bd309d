#!/usr/bin/env bash
# Everything that has to pass, in the order in which it fails soonest. Ends with the time of each
# group beside its budget, and a count.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp) times=$(mktemp)
trap 'rm -f "$log" "$times"' EXIT

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Notes how long a group took since a second, beside its budget in the table of CONTRIBUTING.md.
took() {
  local name=$1 seconds=$((SECONDS - $2)) budget over=""
  budget=$(awk -F ' *[|] *' -v name="$name" '$2 == name {print 60 * $3}' CONTRIBUTING.md)
  if ((seconds > ${budget:?"CONTRIBUTING.md has no budget for: $name"})); then
    over="  WARNING: over its budget"
  fi
  printf '%-20s %6s of %5s%s\n' "$name" "$(clock "$seconds")" "$(clock "$budget")" "$over" >>"$times"
}

begun=$SECONDS
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
took "lint, docs and unit" "$begun"

begun=$SECONDS
echo "== every kind of credential against every bad answer"
cargo test --locked --test conformance -- --nocapture 2>&1 | tee -a "$log"
took "conformance" "$begun"

begun=$SECONDS
echo "== the test kit itself"
cargo test -p testkit --tests --locked 2>&1 | tee -a "$log"
took "the rest" "$begun"

begun=$SECONDS
echo "== end to end, on a real API server"
# The stories wait most of the time; more of them than there are cores run side by side.
cargo test --locked --test e2e -- --test-threads="${E2E_THREADS:-4}" 2>&1 | tee -a "$log"
took "end to end" "$begun"
took "all" 0

echo "== times"
cat "$times"
awk '/^test result:/ {passed += $4; failed += $6} END {printf "%d passed, %d failed\n", passed, failed}' "$log"
