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
echo "Installing into .venv (about two minutes the first time) …"
# torch is named in the same call and with this very version, so that a CPU build is taken where one is offered.
started=$SECONDS
.venv/bin/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --progress-bar on --constraint constraints.txt torch==2.13.0 --editable "$target"
echo "Installed in $((SECONDS - started)) s."
touch .venv/run
[ "$kind" = dev ] && touch .venv/dev
exit 0
