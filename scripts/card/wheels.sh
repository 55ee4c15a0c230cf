#!/usr/bin/env bash
# Wheels for a machine with a card and no network: what a base is pretrained with, besides torch.
#
#   scripts/card/wheels.sh [FOLDER] [PYTHON]      FOLDER: wheels   PYTHON: 3.12, that machine's
#
# Take the repository and FOLDER there and run scripts/card/pretrain.sh. The versions are those of constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-wheels} python=${2:-3.12}
needed='langchain-core|langchain-protocol|langgraph|langgraph-checkpoint|langgraph-prebuilt|langgraph-sdk|langsmith'
needed+='|transformers|tokenizers|huggingface-hub|safetensors|pydantic|pydantic-core|annotated-types|typing-inspection'
needed+='|jsonpatch|jsonpointer|orjson|ormsgpack|xxhash|tenacity|requests-toolbelt|uuid-utils|zstandard|websockets|sniffio|httpx2|httpcore2|truststore|distro|h2|hpack|hyperframe'
mapfile -t pins < <(tr _ - <constraints.txt | grep -E "^($needed)==" | sort)
platforms=()
for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
.venv/bin/python -m pip download -q --no-deps --only-binary=:all: --implementation cp --python-version "$python" \
    "${platforms[@]}" --platform manylinux2014_x86_64 -d "$folder" "${pins[@]}"
du -sh "$folder"
