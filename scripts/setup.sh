#!/usr/bin/env bash
# Sets up .venv: `scripts/setup.sh run` for the demo, `scripts/setup.sh dev` for tests as well.
#
# A virtual environment of the project's own with uv inside, everything pinned by constraints.txt. Torch: the small CPU
# build where its package index can be reached, else the default build; CUDA=1 takes the GPU build and CuPy.
# Done once per kind; a changed pyproject.toml or constraints.txt does it again.
set -euo pipefail
kind=${1:-run}
venv=${VENV:-.venv}
python=${PYTHON:-python3}
stamp=$venv/.ready-$kind${CUDA:+-cuda}
cd "$(dirname "$0")/.."

if [ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt constraints.txt ]; then exit 0; fi

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    echo "muse-stream needs Python 3.11 to 3.13; found: $("$python" --version 2>&1 || echo none)." >&2
    echo "Install one and name it: make PYTHON=python3.12 ${MAKECMDGOALS:-demo}" >&2
    exit 1
fi

extras=""
if [ "$kind" = dev ]; then extras="dev"; fi
if [ -n "${CUDA:-}" ]; then extras="${extras:+$extras,}cuda"; fi

started=$(date +%s)
echo "Setting up $venv (once). Downloads: about 150 MB of Python packages (among them Kafka's Java runtime, 35 MB) and"
echo "torch (200 MB as CPU build, 3 GB with its CUDA libraries where only the default build can be reached);"
echo "the first demo or Kafka test also fetches Apache Kafka 4.3 (44 MB)."
if ! { [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"; }; then
    echo "python -m venv failed. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
uv=("$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --constraint constraints.txt)
if [ -n "${CUDA:-}" ]; then
    echo "- torch: GPU build, CuPy"
elif UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=60 "${uv[@]}" --torch-backend=cpu torch 2>/dev/null; then
    echo "- torch: CPU build"
else
    echo "- torch: the CPU build's index cannot be reached from here; taking the default build"
fi
echo "- packages"
"${uv[@]}" --editable ".${extras:+[$extras]}"
echo "- kernels, compiled for this processor"
"$venv/bin/python" -c 'from muse_stream.streams.worker.warm_up import warm_up; warm_up("cpu", None, 128, 50)'
touch "$stamp"
echo "Ready in $(( $(date +%s) - started )) s: $venv/bin/muse-stream --help"
