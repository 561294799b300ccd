#!/usr/bin/env bash
# Checks and tests: lint, format, types, shell, BUILD, pytest. CI runs exactly this.
#
#   bash tools/test.sh            all but the tests of tests/long_tests.txt
#   bash tools/test.sh --all      these too, before a release: most are further ways to break off
#                                 and go on, and further methods, of what a quicker test covers
#   bash tools/test.sh [pytest's arguments]      e.g. tests/data_splits_test.py -k grouped -n 0
#
# Sets up .venv first, with what the checks need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BUILDIFIER=8.2.1
readonly BUILDIFIER_SHA256=b96ea9b13003036c801f52bee6f9b0314738f8432e5cb9d814c89f59292604ee

step() {
  echo "== $*"
  "$@"
}

has_sha256() {
  python -c 'import hashlib, pathlib, sys
sys.exit(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest() != sys.argv[2])' "$@"
}

# Fetches buildifier, which an npm package carries as a binary, into the file $1.
fetch_buildifier() {
  local folder archive machine
  folder=$(mktemp -d .venv/buildifier.XXXXXX)
  archive=$folder/bazel-buildifier-$BUILDIFIER.tgz
  machine=$(uname -sm | tr '[:upper:] ' '[:lower:]_' | sed 's/x86_64/amd64/; s/aarch64/arm64/')
  if npm pack --silent --fetch-retries=1 --pack-destination "$folder" \
    "@bazel/buildifier@$BUILDIFIER" &>/dev/null; then
    if ! has_sha256 "$archive" "$BUILDIFIER_SHA256"; then
      rm -r "$folder"
      echo "error: npm's buildifier $BUILDIFIER is not the pinned one: its hash differs" >&2
      exit 1
    fi
    tar -xzf "$archive" -C "$folder" "package/buildifier-$machine" &&
      mv "$folder/package/buildifier-$machine" "$1"
  fi
  rm -r "$folder"
}

lint_build_files() {
  local binary=.venv/buildifier-$BUILDIFIER
  [[ -x $binary ]] || fetch_buildifier "$binary"
  if [[ -x $binary ]]; then
    "$binary" -mode=check -lint=warn BUILD MODULE.bazel
  else
    echo "skipped: buildifier $BUILDIFIER could not be fetched (it needs npm and the network)"
  fi
}

bash tools/setup_env.sh --dev
PATH=$PWD/.venv/bin:$PATH
# Hundreds of programs are started: none has to compile what another has compiled.
unset PYTHONDONTWRITEBYTECODE

step ruff check .
step ruff format --check .
step mypy
step shellcheck tools/*.sh .ci/run
step lint_build_files
# What runs beside it takes the other core, and threads would only wait for each other. The tests of
# --all are run with as many as there are.
[[ " $* " == *" --all "* ]] || export TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
# A file at a time: what its tests share is made once, and not once in each worker.
step pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10 "$@"
