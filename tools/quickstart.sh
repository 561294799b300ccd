#!/usr/bin/env bash
# The demonstration: ERM and QT-DoG side by side on the embedded data, one drawing style never seen.
#
#   bash tools/quickstart.sh
#
# Sets up .venv first. Interrupted, the same command goes on. For other data and settings:
# python -m tools.train --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TRIAL=runs/quickstart/line-trial0

bash tools/setup_env.sh
.venv/bin/python -m tools.train --flagfile=configs/quickstart.flags
.venv/bin/python -m tools.gallery --runs=$TRIAL/erm,$TRIAL/qtdog7 \
  --output=runs/quickstart/predictions.png --seed=1
