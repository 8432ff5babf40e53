#!/usr/bin/env bash
# Trains the demo's model on the bundled purchases, with the settings of the public release, and puts it where the demo
# finds it: streams/demo/data/model. One thread, so that one machine gives one model. PYTHON: another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-.venv/bin/python}" -m muse_stream.streams.cli train --data online-retail --threads 1 --out "$work/run"
mkdir -p streams/demo/data/model
cp "$work/run/artefact/artefact.json" "$work/run/artefact/tensors.safetensors" streams/demo/data/model/
