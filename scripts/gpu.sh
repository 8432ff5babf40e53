#!/usr/bin/env bash
# `scripts/gpu.sh test`: the engine's tests on the GPU of this machine. `scripts/gpu.sh bench`: its figures, as a file
# of benchmarks/results and as a table.
#
# NO_SETUP=1 with PYTHON=... takes that interpreter as it is, and downloads nothing: numpy, numba and cupy for the bench
# (torch, faiss, cuvs where they are compared with), hypothesis, pytest and pytest-timeout for the tests.
# CASES, SEED: random searches of the test. OUT: another folder for figures. Further arguments go to the bench.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?test or bench}
shift
python=${PYTHON:-python3}
if [ -z "${NO_SETUP:-}" ]; then
    CUDA=1 scripts/setup.sh dev
    python=.venv/bin/python
fi

test_on_gpu() {
    "$python" -m pytest -m gpu tests/gsu_engine
    if "$python" -c 'import torch, safetensors, msgspec' 2>/dev/null; then
        "$python" -m pytest -m gpu tests/esu_scorer
    else
        echo "tests/esu_scorer is left out: torch, safetensors or msgspec is not installed"
    fi
    "$python" -m tests.gsu_engine.cases --paths cuda --cases "${CASES:-20000}" --seed "${SEED:-1}"
    sanitize
}

sanitize() {
    local tool
    tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
    if [ -z "$tool" ]; then
        echo "compute-sanitizer is left out: it is not on this machine"
        return
    fi
    for check in memcheck racecheck; do
        "$tool" --tool "$check" --error-exitcode 1 --target-processes all \
            "$python" -m tests.gsu_engine.cases --paths cuda --cases 60 --seed "${SEED:-1}"
    done
}

bench_on_gpu() {
    "$python" -m muse_stream.benchmarks.gpu --into "${OUT:-benchmarks/results}" "$@"
}

case $what in
test) test_on_gpu ;;
bench) bench_on_gpu "$@" ;;
*)
    echo "unknown: $what; expected test or bench" >&2
    exit 2
    ;;
esac
