#!/usr/bin/env bash
# Makes .venv and installs with the pins of constraints.txt. Usage: setup.sh PYTHON run|dev
set -euo pipefail
python=$1 kind=$2
cd "$(dirname "$0")/.."

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Dojang needs Python 3.11 or newer; $python is $("$python" --version 2>&1 || echo missing)." >&2
    echo "Name another one: make PYTHON=python3.12 …" >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi
target=.
[ "$kind" = dev ] && target='.[dev]'
log=.venv/pip.log
rm -f "$log"
echo "Installing into .venv (about two minutes the first time) …"
# One line that counts what is fetched on a terminal, a line every 25 packages elsewhere.
progress() {
    local packages=0 line
    while IFS= read -r line; do
        case $line in
        Collecting* | Processing*) packages=$((packages + 1)) ;;
        "Installing collected"*) line="writing $packages packages" ;;
        *) continue ;;
        esac
        case $line in writing*) ;; *) line="$packages packages fetched" ;; esac
        if [ -t 1 ]; then printf '\r… %s   ' "$line"; elif [ $((packages % 25)) = 0 ] || [ "${line#writing}" != "$line" ]; then echo "… $line"; fi
    done
    [ ! -t 1 ] || echo
}
# torch is named in the same call and with this very version, so that a CPU build is taken where one is offered.
started=$SECONDS
# Nothing is compiled ahead: of 25,000 files 6,000 are ever imported, and those are when they are (docs/log.md, 2026-11-26).
if ! .venv/bin/python -m pip install --no-compile --disable-pip-version-check --root-user-action=ignore --progress-bar off \
    --log "$log" --constraint constraints.txt torch==2.13.0 --editable "$target" 2>/dev/null | progress; then
    grep -h -A 4 -e "ERROR" -e "The conflict is caused by" "$log" | sed 's/^[^ ]*T[^ ]* //; /^--$/d; /^ *$/d' | head -12 >&2
    echo "The installation failed; all that pip said stands in $log. Once it is mended, the same command goes on." >&2
    exit 1
fi
echo "Installed in $((SECONDS - started)) s."
touch .venv/run
[ "$kind" = dev ] && touch .venv/dev
exit 0
