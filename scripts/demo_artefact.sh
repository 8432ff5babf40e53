#!/usr/bin/env bash
# Builds the demo's model anew from the bundled purchases: streams/demo/data/model. A few minutes; the same weights on
# the same machine. The settings were chosen on the part `validation`, never on `test`.
set -euo pipefail
cd "$(dirname "$0")/.."
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
.venv/bin/muse-stream train --data online-retail --model muse --out "$run/run" \
    --epochs 2 --batch 500 --dense-rate 0.0005 --table-rate 0.005 --threads 1
mkdir -p streams/demo/data/model
cp "$run/run/artefact/artefact.json" "$run/run/artefact/tensors.safetensors" streams/demo/data/model/
