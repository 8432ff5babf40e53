"""After a rehearsal no search meets a kernel that is not there yet."""

import subprocess
import sys
from unittest import mock

from muse_stream.gsu_engine import SearchResult, rehearse
from muse_stream.gsu_engine.backends.cpu import CpuBackend
from muse_stream.gsu_engine.contract import Work
from tests.gsu_engine.cuda.stand_in import StandInBackend

SEARCHES = """
import importlib, pkgutil
import numpy as np
from numba.core.registry import CPUDispatcher
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable, kernels, rehearse

def compiled():
    names = [f"{kernels.__name__}.{module.name}" for module in pkgutil.iter_modules(kernels.__path__)]
    members = [(name, key, value) for name in names for key, value in vars(importlib.import_module(name)).items()]
    return {(n, k): len(v.signatures) for n, k, v in members if isinstance(v, CPUDispatcher)}

class Source:
    def items(self, user):
        return 0, np.arange(5_000) % 400 + 1

rehearse("cpu", 2, 128, 50)
rehearsed = compiled()
rng = np.random.default_rng(0)
table = VectorTable("v", 128, ItemIndex(max_items=1_000))
table.put(np.arange(1, 401), rng.integers(-128, 128, (400, 128)).astype(np.int8))
engine = GsuEngine(table, cap=5_000, backend="cpu", threads=2)
stop = 5_000
for turn in range(5):
    for count in (1, 7, 200):
        users, items = np.array([1, 2]), rng.integers(1, 401, 2 * count)
        mask = None if turn % 2 else [None, rng.random(5_000) < 0.5]
        windows = np.array([stop - 5_000, 0]), np.array([stop, 5_000])
        batch = SearchBatch(users, *windows, np.array([0, count, 2 * count]), *table.lookup(items), mask)
        engine.search(batch, 50, 20, Source())
    engine.append(np.array([1]), np.array([stop]), np.array([0, 2]), np.array([3, 4]))
    engine.put_vectors(np.array([3]), rng.integers(-128, 128, (1, 128)).astype(np.int8))
    stop += 2
engine.drop(np.array([2]))
after = compiled()
print(len(rehearsed), sum(rehearsed.values()) > 10, [key for key in after if after[key] != rehearsed[key]])
"""


def test_searches_after_a_rehearsal_compile_nothing() -> None:
    found = subprocess.run([sys.executable, "-c", SEARCHES], capture_output=True, text=True, check=False, timeout=300)
    number, some, late = found.stdout.split(maxsplit=2) if found.stdout else ("", "", found.stderr[-2_000:])
    assert (some, late.strip()) == ("True", "[]"), found.stdout + found.stderr[-2_000:]
    assert int(number) > 10


def test_a_device_and_the_cpu_beside_it_are_both_rehearsed() -> None:
    backend = StandInBackend(CpuBackend(1), pages=20)
    searched: list[int] = []
    search = backend.cpu.search

    def counted(work: Work) -> SearchResult:
        searched.append(work.pairs)
        return search(work)

    with mock.patch.object(backend.cpu, "search", counted):
        rehearse(backend, None, 64, 5)
    assert searched == [1] * 12
    assert set(backend.devices[0].launches) == {"append", "fill"}
    assert backend.searches[0].count == 12
    assert backend.tuned == [(64, 5)]
