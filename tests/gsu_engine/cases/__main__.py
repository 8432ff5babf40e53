"""Random cases: every cpu path of the engine against the definition, bit for bit.

A case is one search on one path. A path is a backend whose name begins with `cpu`; each is asked every search, with one
thread or two, rows gathered or packed, answers made anew or standing. Searches come in stories of twelve: a world of
vectors and histories, and behaviours and vectors that come, change and go between the searches. Compared are positions,
scores, counts and recent scores with those of the reference backend, which is given plain arrays.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from typing import Any

from muse_stream.gsu_engine.errors import BackendError
from tests.gsu_engine.cases.runner import Backends, Outcome, backends_of, paths_here, run_case, run_stories
from tests.gsu_engine.cases.story import SEARCHES

PIECE = 8  # stories per task of a process: a second or two
SHOWN = 10  # failures
EPILOG = """examples:
  python -m tests.gsu_engine.cases --cases 3000                a look, some seconds once kernels are compiled
  python -m tests.gsu_engine.cases --cases 100000 --jobs 2     what `make cases` does
  python -m tests.gsu_engine.cases --seed 1 --case 4711        that case alone, with what led to it
  python -m tests.gsu_engine.cases --paths array-numpy         another backend than the cpu ones
  python -m tests.gsu_engine.cases --paths cuda                on an NVIDIA GPU, what `make gpu-test` does

A search has one number for all paths, and that is the case's number. Exit status: 0 all equal; 1 a case differs, or,
from 1 000 cases a path on, some way (packed rows, standing answers, a bitmap, ...) was never taken; 2 wrong usage."""


def main() -> int:
    """0: everything is equal; 1: something is not."""
    options = _options()
    given = options.parse_args()
    here, elsewhere = paths_here()
    for name, reason in elsewhere.items():
        _say(f"{name} is left out: {reason}")
    paths = given.paths or here
    try:
        backends_of(paths)
    except BackendError as reason:
        options.error(str(reason))
    if given.case is not None:
        return again(given.seed, given.case, paths)
    began = time.monotonic()
    outcome = many(given.seed, given.cases, given.jobs, paths)
    return report(given.seed, outcome, time.monotonic() - began, as_json=given.json)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m tests.gsu_engine.cases",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--cases", type=int, default=3_000, metavar="N", help="at least so many cases (%(default)s)")
    options.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (%(default)s)")
    options.add_argument("--seed", type=int, default=1, help="another seed, other cases (%(default)s)")
    options.add_argument("--case", type=int, metavar="N", help="only this case, with its story up to it")
    options.add_argument("--paths", nargs="+", metavar="NAME", help="backends (all whose name begins with cpu)")
    options.add_argument("--json", action="store_true", help="one JSON object at the end, on standard output")
    return options


def again(seed: int, case: int, paths: list[str]) -> int:
    """Run one case again."""
    compared = run_case(seed, case, backends_of(paths))
    sys.stdout.write(f"case {case}, seed {seed}: {compared.text}\n")
    for path, taken in compared.ways.items():
        verdict = compared.wrong.get(path, "equal")
        own = ", ".join(f"{way} {count}" for way, count in taken.items() if count and way != "cases")
        sys.stdout.write(f"{path}: {verdict} ({own})\n")
    return 1 if compared.wrong else 0


def many(seed: int, cases: int, jobs: int, paths: list[str]) -> Outcome:
    """Tell as many stories as it takes, in several processes, with progress; stop at a failure."""
    stories = -(-cases // (SEARCHES * len(paths)))
    _say(f"{stories} stories of {SEARCHES} searches on {len(paths)} paths: {', '.join(paths)}; seed {seed}")
    with ProcessPoolExecutor(1) as pool:  # one process compiles what is not in the cache yet, and not each
        pool.submit(_piece, seed, range(1), tuple(paths)).result()
    began, total = time.monotonic(), Outcome()
    pieces = [range(at, min(at + PIECE, stories)) for at in range(0, stories, PIECE)]
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(_piece, seed, piece, tuple(paths)) for piece in pieces]
        for done in as_completed(running):
            total.join(done.result())
            seconds = max(time.monotonic() - began, 1e-3)
            left = max(cases - total.cases, 0) * seconds / total.cases
            _say(f"{total.cases:,} of {cases:,} cases, {total.cases / seconds:.0f}/s, {left:.0f} s left")
            if total.failures:
                pool.shutdown(cancel_futures=True)
                break
    return total


@cache
def _backends(paths: tuple[str, ...]) -> Backends:
    """Made once in each process."""
    return backends_of(paths)


def _piece(seed: int, numbers: range, paths: tuple[str, ...]) -> Outcome:
    return run_stories(seed, numbers, _backends(paths))


def report(seed: int, outcome: Outcome, seconds: float, *, as_json: bool) -> int:
    """Say what came out; returns the exit status."""
    missing = outcome.never_taken()
    for failure in outcome.failures[:SHOWN]:
        _say(f"{failure}\n  again: python -m tests.gsu_engine.cases --seed {seed} --case {failure.case}")
    for path, names in missing.items():
        _say(f"{path} never took: {', '.join(names)}")
    if as_json:
        sys.stdout.write(json.dumps(_summary(seed, outcome, missing, seconds)) + "\n")
    else:
        for path, taken in outcome.taken.items():
            sys.stdout.write(f"{path}: {', '.join(f'{way} {count:,}' for way, count in sorted(taken.items()))}\n")
        sys.stdout.write(
            f"{outcome.cases:,} cases ({outcome.searches:,} searches), seed {seed}, in {seconds:.0f} s: "
            f"{len(outcome.failures)} differ\n"
        )
    return 1 if outcome.failures or missing else 0


def _summary(seed: int, outcome: Outcome, missing: dict[str, list[str]], seconds: float) -> dict[str, Any]:
    return {
        "seed": seed,
        "cases": outcome.cases,
        "searches": outcome.searches,
        "seconds": round(seconds, 1),
        "cases_per_second": round(outcome.cases / seconds, 1),
        "differ": [{"case": failure.case, "path": failure.path, "what": failure.what} for failure in outcome.failures],
        "never_taken": missing,
        "paths": {path: dict(sorted(taken.items())) for path, taken in outcome.taken.items()},
    }


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
