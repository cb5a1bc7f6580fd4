#!/bin/sh
# Checks of the source that no compiler makes; run.sh prints what breaks a rule, and fails then.
set -u
cd "$(dirname "$0")/../.."
status=0
tests/checks/include_edges.py || status=1
tests/checks/format.sh || status=1
exit $status
