#!/usr/bin/env bash
# Makes .venv in the root of the repository and installs the pinned requirements into it.
#
#   bash tools/setup_env.sh          what training needs
#   bash tools/setup_env.sh --dev    that, and what the tests and checks need
#
# Run it as often as you like: it does nothing when nothing has changed, and goes on where it was
# interrupted. PYTHON=/path/to/python chooses the interpreter that .venv is made with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly NEEDED_KB=$((4 * 1024 * 1024)) # .venv takes 2.9 GB, pip's cache and downloads the rest
readonly LOG=.venv/setup.log

fail() {
  echo "error: $*" >&2
  exit 1
}

# TensorFlow 2.21 has packages for these versions of Python.
is_supported() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
  local candidate version found="" candidates=(python3 python3.13 python3.12 python3.11 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if is_supported "$candidate"; then
      echo "$candidate"
      return
    fi
    version=$("$candidate" --version 2>/dev/null) && found+="${found:+, }$candidate is $version"
  done
  fail "Python 3.11, 3.12 or 3.13 is needed and was not found (${found:-there is none});" \
    "install one, or name it: PYTHON=/path/to/python3.11 bash tools/setup_env.sh"
}

# The marker .venv/.creating tells a half-made environment from a whole one.
make_venv() {
  if [[ ! -e .venv/.creating ]] && .venv/bin/python -I -m pip --version >/dev/null 2>&1; then
    is_supported .venv/bin/python ||
      fail ".venv holds $(.venv/bin/python --version), and 3.11 to 3.13 is needed; remove .venv"
    return
  fi
  local python
  python=$(find_python)
  rm -rf .venv
  mkdir .venv
  touch .venv/.creating
  "$python" -m venv .venv >"$LOG" 2>&1 || explain "making .venv"
  rm .venv/.creating
}

# Keeps what pip says in the log and shows, on a terminal, one line of it that changes.
show_progress() {
  local total=$1 line count=0
  while IFS= read -r line; do
    echo "$line" >>"$LOG"
    [[ -t 1 ]] || continue
    case "$line" in
      Requirement\ already*) count=$((count + 1)) && continue ;;
      Collecting*) count=$((count + 1)) ;;
      Installing\ collected*) line="Unpacking (a minute or two)" ;;
      *Downloading*) ;;
      *) continue ;;
    esac
    printf '\r\033[K[%s/%s] %.60s' "$count" "$total" "${line%% (from*}"
  done
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
}

# What pip or venv said, in one sentence; the whole of it is in the log.
explain() {
  if grep -qs 'No space left on device\|Disk quota exceeded' "$LOG"; then
    fail "the disk is full; 4 GB are needed here, and 1 GB in ${TMPDIR:-/tmp} (TMPDIR) for a while"
  elif grep -qs 'ensurepip' "$LOG"; then
    fail "this Python cannot make environments; on Debian and Ubuntu: apt install python3-venv"
  elif grep -qs 'DO NOT MATCH THE HASHES' "$LOG"; then
    fail "a downloaded package is not the pinned one (its hash differs), so it was not installed;" \
      "is the package index a mirror that changes packages? see $LOG"
  elif grep -qsE 'NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Network is unreachable' "$LOG"; then
    fail "the package index cannot be reached; check the network or proxy, then run this again:" \
      "what has arrived is kept"
  elif grep -qs 'No matching distribution' "$LOG"; then
    fail "$(grep -m 1 -o 'No matching distribution.*' "$LOG") on $(uname -sm) with" \
      "$(.venv/bin/python --version); see $LOG"
  fi
  tail -n 5 "$LOG" >&2 || true
  fail "$1 failed for the reason above; everything that was said is in $LOG"
}

# pip writes INSTALLER last, so a package without it was cut off and has to be installed again.
forget_cut_off_packages() {
  local info
  for info in .venv/lib/python3*/site-packages/*.dist-info; do
    [[ -e $info/INSTALLER ]] || rm -rf "$info"
  done
  rm -rf .venv/lib/python3*/site-packages/~*
}

# A copy of each installed file in .venv says what is there.
is_installed() {
  cmp -s "$1" ".venv/$1" && .venv/bin/python -c "" 2>/dev/null
}

# A first installation is not begun where it cannot end; what an interrupted one left counts.
check_room() {
  local free there=0
  [[ ! -e .venv/requirements.txt ]] || return 0
  free=$(df -Pk . | awk 'NR == 2 { print $4 }')
  [[ ! -d .venv ]] || there=$(du -sk .venv/ | cut -f 1)
  ((free + there >= NEEDED_KB)) ||
    fail "too little room: 4 GB are needed in $PWD and $((free / 1024)) MB are free"
}

install_requirements() {
  local requirements=$1 total
  total=$(grep -c '==' "$requirements")
  echo "Installing $total pinned packages into .venv (once; some minutes)"
  rm -f .venv/requirements*.txt
  forget_cut_off_packages
  : >"$LOG"
  # pip compiles one file after the other; below, all processors do.
  PIP_USER=0 .venv/bin/python -I -m pip install --no-input --disable-pip-version-check \
    --no-compile --require-hashes -r "$requirements" 2>&1 |
    show_progress "$total" || explain "installing $requirements"
  # Not left to the first import: where PYTHONDONTWRITEBYTECODE is set, as in many containers, each
  # program would compile TensorFlow anew, which takes 9 seconds. What is no Python stays as it is.
  .venv/bin/python -I -W ignore -m compileall -qq -j 0 .venv/lib/python3*/site-packages || true
  # requirements-dev.txt contains all of requirements.txt.
  cp requirements.txt .venv/
  cp "$requirements" .venv/
  echo "Installed in $SECONDS s"
}

main() {
  local requirements="requirements.txt"
  case "$*" in
    "") ;;
    --dev) requirements="requirements-dev.txt" ;;
    *) fail "unknown argument $*: there is only --dev" ;;
  esac
  trap 'echo; echo "interrupted; the same command goes on from here" >&2; exit 130' INT TERM

  # One at a time: the script itself is the lock.
  if command -v flock >/dev/null; then
    exec 9<tools/setup_env.sh
    flock -n 9 || { echo "Waiting for another setup in this folder" && flock 9; }
  fi
  is_installed "$requirements" && return
  check_room
  make_venv
  install_requirements "$requirements"
}

main "$@"
