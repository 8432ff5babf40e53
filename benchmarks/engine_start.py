"""Seconds from `import muse_stream.gsu_engine` to the first answer, in a fresh process.

With a warm kernel cache, as in every start but the first one; and with an empty one, when all kernels are compiled. The
interpreter's own start does not count, importing NumPy and Numba does. The first answer is for a user whose rows are
gathered; the third, of a user who has turned hot and whose answers stand, shows what is compiled or loaded later.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import muse_stream
from muse_stream.benchmarks.report import Row, lower_is_better

SEARCHES = 3


def run(*, rounds: int = 5, cold: bool = True, quick: bool = False) -> list[Row]:
    """Medians of the warm starts, and one cold one.

    Args:
        rounds: Warm starts.
        cold: Compile into an empty cache as well.
        quick: One warm start, no cold one.

    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if cold and not quick:
            rows += _rows("all kernels to be compiled", [_start({"NUMBA_CACHE_DIR": folder})])
        cache = {"NUMBA_CACHE_DIR": folder} if rows else {}
        if not rows:
            _start(cache)  # fills the user's cache where it is empty
        return rows + _rows("kernels from the cache", [_start(cache) for _ in range(1 if quick else rounds)])


def _rows(name: str, starts: list[list[float]]) -> list[Row]:
    """One row per stage, from the seconds of each start."""
    stages = ["import", "first answer", f"{SEARCHES} answers and an append"]
    medians = map(statistics.median, zip(*starts, strict=True))
    return [
        lower_is_better(f"import to {stage}, {name}" if stage != "import" else f"import, {name}", seconds, "s", {})
        for stage, seconds in zip(stages, medians, strict=True)
    ]


def _start(environment: dict[str, str]) -> list[float]:
    """Run this module in a fresh process: seconds from before the import to each stage."""
    command = [sys.executable, "-m", __name__]
    root = str(Path(str(muse_stream.__file__)).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths, **environment}, check=True, capture_output=True, text=True
    )
    return [float(word) for word in done.stdout.split()]


def _live() -> list[float]:
    """A start: import, then searches and an append."""
    began = time.perf_counter()
    import numpy as np  # noqa: PLC0415 - what is measured

    from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable  # noqa: PLC0415

    seconds = [time.perf_counter() - began]
    rows, dimension = 4_000, 128
    vectors = np.random.default_rng(0).integers(-127, 128, (rows, dimension), np.int8)
    table = VectorTable("start", dimension, ItemIndex(), 1 << 24)
    items = np.arange(rows) + 1
    table.put(items, vectors)
    engine = GsuEngine(table)

    class Source:
        def items(self, _user: int) -> tuple[int, "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"]:
            return 0, items

    one, bounds = np.array([1]), np.array([0, 100])
    for _ in range(SEARCHES):
        chosen = table.lookup(items[:100])
        engine.search(SearchBatch(one, 0 * one, rows * one, bounds, *chosen), 50, 0, Source())
        seconds.append(time.perf_counter() - began)
    engine.append(one, rows * one, np.array([0, 1]), items[:1])
    return [seconds[0], seconds[1], time.perf_counter() - began]


if __name__ == "__main__":
    sys.stdout.write(" ".join(map(str, _live())))
