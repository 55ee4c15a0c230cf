#!/usr/bin/env bash
# A base in a given time on a machine with a card.
#
#   scripts/card/pretrain.sh OUT MINUTES [options of `python -m adapters.training pretrain`]
#
# WHEELS names a folder of wheels where there is no network (scripts/card/wheels.sh), PYTHON a Python that has torch,
# TOKENIZER the folder of the base whose tokenizer is taken (the one that ships). OUT is the base, OUT/curve.txt a line a
# window; the table, the adapter, `tune` and `evaluate` follow on any machine (docs/training.md). The minutes begin with
# the first step: loading and the first windows of text come before them, half a minute or less.
set -euo pipefail
out=$(realpath -m "${1:?OUT MINUTES}") minutes=${2:?OUT MINUTES}
shift 2
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
if [[ -n ${WHEELS:-} ]]; then
    site=$(mktemp -d)
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH=$site
fi
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
mkdir -p "$out"
cp -n "${TOKENIZER:-adapters/weights/base}"/{tokenizer*.json,chat_template.jinja} "$out"/ 2>/dev/null || true
"$python" -m adapters.training pretrain --out "$out" --minutes "$minutes" "$@" 2> >(tee "$out/curve.txt" | awk 'NR % 20 == 1' >&2)
