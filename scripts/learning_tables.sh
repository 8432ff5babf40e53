#!/usr/bin/env bash
# Makes the tables of docs/learning.md anew, below the folder named: about half an hour on two cores.
# The rates for planted data were found on its validation part: at the release's, 60 000 samples are too few steps.
set -euo pipefail
out=${1:?usage: scripts/learning_tables.sh FOLDER}
muse=${MUSE:-.venv/bin/muse-stream}
for set in models esu gsu-vectors gsu-metric length k; do
    "$muse" compare --set "$set" --data planted --out "$out/planted" --threads 1 \
        --batch 200 --dense-rate 0.003 --table-rate 0.02
done
"$muse" compare --set length --data planted --data-option users=200 --data-option length=100000 \
    --data-option samples=40000 --out "$out/planted-100k" --threads 1 \
    --batch 200 --dense-rate 0.003 --table-rate 0.02
for set in models esu gsu-vectors vectors; do
    "$muse" compare --set "$set" --data online-retail --out "$out/online-retail" --threads 1 \
        --epochs 2 --batch 500 --dense-rate 0.0005 --table-rate 0.005
done
