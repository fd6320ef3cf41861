#!/bin/sh
# Writes the example reports anew, from the repository's own files, with the programs under target/debug.
# Run it from the root of the repository after texts or rules have changed, and read what it wrote.
set -eu
data=$(mktemp -d)
hub=http://127.0.0.1:18917
RUST_LOG=error target/debug/ukimet serve --listen 127.0.0.1:18917 --disk-reserve 1MiB --data "$data" > "$data.log" &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$data" "$data.log"' EXIT
until grep -q ready "$data.log"; do sleep 0.2; done
renew() {
    file=$1 name=$2; shift 2
    target/debug/ukimet push "$file" --dataset "kz/$name" --push-id "$name" --hub "$hub" "$@" > /dev/null
    for lang in en ru kk; do
        target/debug/ukimet report "kz/$name" --lang "$lang" --hub "$hub" -o "docs/examples/$name.$lang.txt" --format text
    done
}
renew demo/rayony_s42_cp1251.zip districts
renew demo/settlements_decimal_comma_cp1251.csv settlements
renew docs/examples/medical_institutions_2000_2022.xls medical-institutions --layer "5.21 2"
