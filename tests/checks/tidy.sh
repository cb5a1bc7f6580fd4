#!/bin/bash
# clang-tidy over the sources named, or all but the tests: tidy.sh [FILE...]. Takes half an hour on two cores for all, so
# it is no part of `make test`. Compiled by clang and without the precompiled header, which hides missing includes.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake -S . -B build/tidy -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null

files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files 'src/*.cc' 'cmd/*.cc' | grep -v '_test\.cc$')
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p build/tidy --quiet
echo "tidy: ${#files[@]} files are clean"
