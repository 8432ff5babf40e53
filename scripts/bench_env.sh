#!/usr/bin/env bash
# Sets up .bench-venv: the project as for tests, the libraries that the benchmarks compare with, and matplotlib.
#
# Each peer is optional: what cannot be installed here is named, and its benchmark leaves it out. Peers that live with
# the project's own pins go into the environment itself; quixstreams asks for an older confluent-kafka than the project
# does and gets an environment of its own inside, peers/quixstreams, where `bench ingest` looks for it.
# Then: .bench-venv/bin/muse-stream bench NAME
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.bench-venv}
VENV=$venv scripts/setup.sh dev

install() {  # install PYTHON PACKAGE [FLAG...]: one line that says how it went; never fails
    local python=$1 package=$2 said
    shift 2
    if said=$("$venv/bin/uv" pip install --python "$python" "$@" "$package" 2>&1); then
        echo "- $package: $("$python" -c 'import sys; from importlib.metadata import version; print(version(sys.argv[1]))' \
            "${package%%[<>=]*}")"
    else
        missing+=("$package")
        echo "- $package: cannot be installed here: $(grep -m1 -i 'because' <<<"$said" || tail -n1 <<<"$said")"
    fi
}

missing=()
echo "Peers with the project's pins:"
for package in "faiss-cpu>=1.12" "scikit-learn>=1.7" "usearch>=2.21" numkong onnxruntime onnx scann; do
    install "$venv/bin/python" "$package" --constraint constraints.txt
done
echo "For plots:"
install "$venv/bin/python" "matplotlib>=3.10" --constraint constraints.txt
echo "Peers with pins of their own:"
quix=$venv/peers/quixstreams
[ -x "$quix/bin/python" ] || "$venv/bin/python" -m venv --without-pip "$quix"
install "$quix/bin/python" "quixstreams>=3.20"

if [ ${#missing[@]} -gt 0 ]; then echo "Left out: ${missing[*]}"; fi
echo "Now: $venv/bin/muse-stream bench"
