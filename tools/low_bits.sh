#!/usr/bin/env bash
# Trains every row of the low-bit comparison (configs/low_bits), and makes one page of them.
#
#   bash tools/low_bits.sh
#
# Interrupted, the same command goes on. Some five hours on two free cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OUTPUT=runs/low_bits
readonly METHODS=(lsq_delayed lsq_from_0 lsq_sam lsq_sagm lsq_sagm_freeze)

bash tools/setup_env.sh
for method in "${METHODS[@]}"; do
  for target in line render3d; do
    .venv/bin/python -m tools.train --flagfile="configs/low_bits/$method.flags" \
      --target_domains="$target"
  done
done
for run in "$OUTPUT"/lsq_delayed/*-trial?/erm; do
  for bits in 5 4 3; do
    .venv/bin/python -m tools.quantize_run --flagfile=configs/low_bits/ptq_rtn.flags \
      --run="$run" --bits=$bits
  done
done
folders=$(printf '%s,' "${METHODS[@]/#/$OUTPUT/}")
.venv/bin/python -m tools.report --runs="${folders%,}" --title="Low bits" \
  --output=$OUTPUT/report.html
