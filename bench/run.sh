#!/usr/bin/env bash
# Runs the benchmark kit with this hub among the peers: bench/run.sh KIT [-w WORKLOADS] [-s SYSTEMS] [-r ROUNDS].
# The kit is copied beside our plug-in, so that it stays as it is. Data, results and peers' servers: BENCH_WORK.
set -euo pipefail
kit="$(cd "$1" && pwd)"
shift
here="$(cd "$(dirname "$0")" && pwd)"
export BENCH_WORK="${BENCH_WORK:-$here/work/run}"
export UKIMET_BIN="${UKIMET_BIN:-$here/../target/release/ukimet}"
copy="$here/work/kit"
rm -rf "$copy"
mkdir -p "$copy" "$BENCH_WORK"
cp "$kit"/*.py "$kit"/*.sh "$kit"/*.txt "$copy/"
chmod -R u+w "$copy"
cp "$here/product.py" "$copy/product.py"
exec "$copy/run_peers.sh" "$@"
