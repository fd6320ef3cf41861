#!/usr/bin/env bash
# Runs the benchmark kit with this hub among the peers, then shows the ratios and which gates are held: bench/run.sh KIT [-w WORKLOADS] [-s SYSTEMS] [-r ROUNDS].
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
# What our side needs beside the kit's own; an environment of an earlier run may lack it.
sql_driver="adbc-driver-flightsql==1.13.0"
echo "$sql_driver" >> "$copy/requirements.txt"
environment="${BENCH_VENV:-$BENCH_WORK/venv}"
[ ! -f "$environment/.ok" ] || "$environment/bin/pip" install --quiet --disable-pip-version-check "$sql_driver"
# Only this run's lines make its table.
mv -f "$BENCH_WORK/results.jsonl" "$BENCH_WORK/results-before.jsonl" 2>/dev/null || true
"$copy/run_peers.sh" "$@"
cat "$BENCH_WORK/report.md"
python3 "$here/gates.py" "$BENCH_WORK/results.jsonl"
