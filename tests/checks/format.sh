#!/bin/sh
# Are the C++ files formatted as .clang-format says? format.sh --fix formats them.
set -eu
cd "$(dirname "$0")/../.."
files=$(find src cmd tests bench \( -name '*.cc' -o -name '*.h' \) | sort)
if [ "${1:-}" = --fix ]; then
  # shellcheck disable=SC2086 # a list of words
  exec clang-format -i $files
fi
bad=$(echo "$files" | xargs -P "$(nproc)" -n 20 clang-format --dry-run 2>&1 |
  sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: warning: code should be clang-formatted.*/\1/p' | sort -u)
if [ -n "$bad" ]; then
  echo "$bad" >&2
  echo 'format: not formatted as .clang-format says; tests/checks/format.sh --fix does it' >&2
  exit 1
fi
echo "format: $(echo "$files" | wc -l) files are formatted"
