#!/usr/bin/env bash
# Makes the tables of docs/learning.md anew, below the folder named: about two hours on two cores.
# The rates for planted data were found on its validation part: at the release's, 60 000 samples are too few steps.
set -euo pipefail
out=${1:?usage: scripts/learning_tables.sh FOLDER}
muse=${MUSE:-.venv/bin/muse-stream}
for set in models esu gsu-vectors gsu-metric length k; do
    "$muse" compare --set "$set" --data planted --out "$out/planted" --threads 1 \
        --batch 200 --dense-rate 0.003 --table-rate 0.02
done
for set in models esu gsu-vectors; do
    "$muse" compare --set "$set" --data online-retail --out "$out/online-retail" --threads 1 \
        --epochs 2 --batch 500 --dense-rate 0.0005 --table-rate 0.005
done
