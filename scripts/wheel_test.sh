#!/usr/bin/env bash
# Proves that the wheel stands alone: built here, installed in an empty environment outside the checkout, demo run there.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh run
uv=$PWD/.venv/bin/uv
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$uv" build --quiet --wheel --out-dir "$place/dist"
"$uv" venv --quiet --python "$PWD/.venv/bin/python" "$place/venv"
"$uv" pip install --quiet --python "$place/venv/bin/python" --constraint constraints.txt "$place"/dist/*.whl
cd "$place"
"$place/venv/bin/muse-stream" demo --once --json
