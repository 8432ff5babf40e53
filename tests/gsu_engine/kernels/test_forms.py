"""Which forms of multiplication a CPU gets."""

import os
import subprocess
import sys

import pytest

from muse_stream.gsu_engine.kernels import forms
from muse_stream.gsu_engine.kernels.forms import AVX2, AVX512_VNNI, AVX_VNNI

OLD_CPU = """
import numpy as np
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable
from muse_stream.gsu_engine.backends import choose

class Source:
    def items(self, user):
        return 0, np.arange(1, 301)

table = VectorTable("v", 64, ItemIndex(max_items=1_000))
table.put(np.arange(1, 301), np.random.default_rng(0).integers(-128, 128, (300, 64)).astype(np.int8))
vectors, norms = table.lookup(np.arange(1, 9))
one = np.ones(1, np.int64)
batch = SearchBatch(one, 0 * one, 300 * one, np.array([0, 8]), vectors, norms)
answers = []
for name in ("reference", "cpu"):
    backend, why = choose(name, threads=1)
    engine = GsuEngine(table, backend=backend)
    answers += [engine.search(batch, 50, 5, Source()) for _ in range(3)]
print(why, all(np.array_equal(a.positions, answers[0].positions) for a in answers), sep=" | ")
"""


@pytest.mark.parametrize(
    ("features", "best"),
    [
        ({"avx512vnni", "avx512bw", "avx512vl", "avx512f", "avx2", "avx"}, AVX512_VNNI),
        ({"avxvnni", "avx2", "avx"}, AVX_VNNI),
        ({"avx512f", "avx512bw", "avx2", "avx"}, AVX2),
        ({"avx2", "avx"}, AVX2),
        ({"avx"}, None),
        ({"neon"}, None),
        (set(), None),
    ],
)
def test_the_best_form_of_a_cpu(features: set[str], best: forms.Form | None) -> None:
    usable = forms.usable_forms(dict.fromkeys(features, True))
    assert usable[0] == (best or forms.FLOAT32)
    assert usable[-1] == forms.FLOAT32


def test_the_portable_form_by_cpu() -> None:
    assert forms.portable({"avx512f": True, "avx": True}).rows == 64
    assert forms.portable({"avx": True}).rows == 16
    assert forms.portable({"neon": True}).rows == 16
    assert forms.portable({}).rows == 8


@pytest.mark.slow
@pytest.mark.skipif(not forms.usable(AVX2, forms.FEATURES), reason="this CPU cannot stand in for an older one")
@pytest.mark.parametrize(
    ("cpu", "features", "form"),
    [
        ("haswell", "+avx2,+avx,+fma,+sse4.2,+popcnt,+bmi,+bmi2", "avx2"),
        ("nehalem", "+sse4.2,+popcnt", "float32"),
    ],
)
def test_start_up_on_an_older_cpu_takes_its_form_and_answers(cpu: str, features: str, form: str) -> None:
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    found = subprocess.run(
        [sys.executable, "-c", OLD_CPU], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert found.stdout.strip() == f"asked for by name; multiplies as {form} | True", found.stderr[-2_000:]
