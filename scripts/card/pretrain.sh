#!/usr/bin/env bash
# A base in a given time on a machine with a card: measures the speed, then reads as many tokens as the time allows.
#
#   scripts/card/pretrain.sh OUT MINUTES [options of `python -m adapters.training pretrain`]
#
# WHEELS names a folder of wheels where there is no network (scripts/card/wheels.sh), PYTHON a Python that has torch.
# OUT/base is the base, OUT/curve.txt a line a window; the adapter, `tune` and `evaluate` follow on any machine
# (docs/training.md).
set -euo pipefail
out=$(realpath -m "${1:?OUT MINUTES}") minutes=${2:?OUT MINUTES}
shift 2
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
mkdir -p "$out"
if [[ -n ${WHEELS:-} ]]; then
    site=$(mktemp -d)
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH=$site
fi
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
cp -n adapters/weights/base/tokenizer*.json "$out"/ 2>/dev/null || true
probe=$(mktemp -d)
cp "$out"/tokenizer*.json "$probe"
"$python" -m adapters.training pretrain --out "$probe" --tokens "${PROBE:-6000000}" "$@" 2>"$out/probe.txt" >/dev/null
speed=$(awk -F'tokens_per_s=' '{a[NR] = $2 + 0} END {n = 0; for (i = int(NR / 2) + 1; i <= NR; i++) {s += a[i]; n++} print int(s / n)}' "$out/probe.txt")
tokens=$(awk -v s="$speed" -v m="$minutes" 'BEGIN {print int(s * m * 60 * 0.9)}')
echo "$speed tokens a second: $tokens tokens in $minutes minutes"
mkdir -p "$out/base"
cp -n "$out"/tokenizer*.json "$out/base"
"$python" -m adapters.training pretrain --out "$out/base" --tokens "$tokens" "$@" 2> >(tee "$out/curve.txt" | awk 'NR % 20 == 1' >&2)
