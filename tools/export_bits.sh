#!/usr/bin/env bash
# Trains at 2 to 8 bits, exports each as int8 (and as int4 where it fits), and prints one table.
#
#   bash tools/export_bits.sh
#
# Interrupted, the same command goes on. Reports are kept in tools/results/export_bits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OUTPUT=runs/export_bits
readonly RESULTS=tools/results/export_bits

export_file() {
  local bits=$1 kind=$2
  local name=qtdog$bits-$kind
  [[ -e $OUTPUT/$name.tflite ]] && return
  # Few steps and few bits leave models that are wrong often; what counts here is the file.
  .venv/bin/python -m tools.export_tflite --run="$OUTPUT/line-trial0/qtdog$bits" --kind="$kind" \
    --output="$OUTPUT/$name.tflite" --model=last --parity_images=200 --min_agreement=0.5
  cp "$OUTPUT/$name.report.json" "$RESULTS/"
}

bash tools/setup_env.sh
mkdir -p $RESULTS
.venv/bin/python -m tools.train --flagfile=configs/export_bits.flags
for bits in 2 3 4 5 6 7 8; do export_file $bits int8; done
for bits in 2 3 4; do export_file $bits int4; done
.venv/bin/python -m tools.compare_exports \
  --reports="$(echo $RESULTS/*.report.json | tr ' ' ',')"
