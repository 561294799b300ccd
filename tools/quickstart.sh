#!/usr/bin/env bash
# The demonstration, on the embedded data with one drawing style never seen: ERM beside QT-DoG, an
# ensemble of three QT-DoG models (EoQ), and their files for a phone.
#
#   bash tools/quickstart.sh
#
# Sets up .venv first. Interrupted, the same command goes on. For other data and settings:
# python -m tools.train --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OUTPUT=runs/quickstart
readonly TRIAL=$OUTPUT/line-trial0
readonly FILES=$OUTPUT/erm.tflite,$OUTPUT/qtdog7.tflite,$OUTPUT/eoq7.tflite

run() {
  .venv/bin/python -m "tools.$1" "${@:2}"
}

# Writes the file $1.tflite of the run $2, unless it is there.
export_file() {
  local name=$1 of=$2
  [[ -e $OUTPUT/$name.tflite ]] && return
  echo "== $name.tflite"
  run export_tflite --run="$of" --output="$OUTPUT/$name.tflite" --parity_images=200 "${@:3}"
}

bash tools/setup_env.sh
run train --flagfile=configs/quickstart.flags
run ensemble --runs=$TRIAL/qtdog7,$TRIAL/qtdog7_m1,$TRIAL/qtdog7_m2 --output=$OUTPUT/eoq7
export_file erm $TRIAL/erm --kind=float32
export_file qtdog7 $TRIAL/qtdog7
export_file eoq7 $OUTPUT/eoq7
run gallery --runs=$TRIAL/erm,$TRIAL/qtdog7,$OUTPUT/eoq7 --seed=1 \
  --output=$OUTPUT/predictions.png
echo "== The files on the style that none of them has seen"
run evaluate_tflite --files=$FILES --data=emoji_styles --domains=line
