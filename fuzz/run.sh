#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds from its seeds and from what earlier runs found: fuzz/run.sh SECONDS [TARGET...].
set -euo pipefail
cd "$(dirname "$0")"

if ! cargo fuzz --version > /dev/null 2>&1; then
    echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2
    exit 1
fi
# The instruments are switched on by options that the compiler has on every channel and allows on this one only so.
export RUSTC_BOOTSTRAP=1
host=$(rustc -vV | sed -n 's/^host: //p')
seconds=$1
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir .)
# No sanitizer: our own code has no unsafe but the calls of GDAL, which no target makes more than a CRS's name of.
cargo fuzz build --fuzz-dir . --sanitizer none
# Scratch files in memory, if there is such a place.
memory=/tmp
[ -d /dev/shm ] && memory=/dev/shm
TMPDIR=$(mktemp -d -p "$memory" ukimet-fuzz.XXXXXX)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "$target: $seconds seconds"
    # The coordinate library of the rules reads its own database only. The adapter's targets see to it themselves.
    unset PROJ_DATA
    case $target in table | idempotence) export PROJ_DATA=$TMPDIR/none PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY=YES ;; esac
    "target/$host/release/$target" "corpus/$target" "seeds/$target" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" -max_len=16384 -timeout=25 -rss_limit_mb=2048 -print_final_stats=1
done
