#!/bin/sh
# Builds the test images: build.sh [--archive DIR] [--force] [NAME[:TAG]...]; see README.md.
set -eu

here=$(dirname "$(readlink -f "$0")")

missing=
while read -r package; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done <"$here/packages.txt"
if [ -n "$missing" ]; then
  echo "build.sh: Debian packages are missing; run: apt-get install$missing" >&2
  exit 1
fi

# Debian's own Python, whatever else the PATH offers; no bytecode in the source tree.
exec /usr/bin/python3 -B "$here/build.py" "$@"
