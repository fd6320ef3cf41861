#!/usr/bin/env bash
# Installs the system packages that the build needs on Debian or Ubuntu. Does nothing if all of them are there.
set -euo pipefail

# libgdal: reading formats (docs/adr/0002). libgeos: validity (0004). cmake, sqlite3: the bundled PROJ (0003).
# gdal-bin: the foreign program of the tests that reads rasters from afar. valgrind: counts instructions (bench/instructions.py).
# openssl: looks at signatures of receipts from outside (tests/clients).
packages=(build-essential ca-certificates cmake gdal-bin libgdal-dev libgeos-dev libsqlite3-dev openssl pkg-config python3-venv sqlite3 valgrind)
gdal_min=3.6

missing=()
for program in c++ cmake gdal_translate nm openssl pkg-config sqlite3 valgrind; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if command -v pkg-config >/dev/null; then
  pkg-config --atleast-version="$gdal_min" gdal || missing+=("libgdal >= $gdal_min")
  pkg-config --exists geos || missing+=("libgeos")
  pkg-config --exists sqlite3 || missing+=("libsqlite3")
fi
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=("python3-venv")
[ ${#missing[@]} -eq 0 ] && exit 0

echo "missing: ${missing[*]}"
if ! command -v apt-get >/dev/null; then
  echo "this is neither Debian nor Ubuntu: install what corresponds to ${packages[*]}, then try again" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "run this as root, or install sudo: apt-get install ${packages[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${packages[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
pkg-config --atleast-version="$gdal_min" gdal || {
  echo "this system has GDAL $(pkg-config --modversion gdal), the hub needs $gdal_min or newer" >&2
  exit 1
}
