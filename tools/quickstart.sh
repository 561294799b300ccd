#!/usr/bin/env bash
# The demonstration: ERM and QT-DoG side by side on the embedded data, one drawing style never seen.
#
#   bash tools/quickstart.sh [--flag=value ...]
#
# Sets up .venv first. Flags are those of `python -m tools.train --help`; they override the flagfile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
exec .venv/bin/python -m tools.train --flagfile=configs/quickstart.flags "$@"
