#!/usr/bin/env bash
# Runs cargo-deny where it is installed. Advisories need a database from the network: where it cannot be had this says
# so and goes on, since tests/crates.py has already checked licences, arrows and sources.
set -uo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
  echo "NOT CHECKED: advisories. cargo-deny is not installed (cargo install --locked cargo-deny)."
  exit 0
fi
cargo deny --locked check licenses bans sources || exit 1
if ! cargo deny --locked fetch db >/dev/null 2>&1; then
  echo "NOT CHECKED: advisories. The advisory database cannot be reached from here."
  exit 0
fi
cargo deny --locked check advisories
