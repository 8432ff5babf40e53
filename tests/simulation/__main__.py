"""`python -m tests.simulation`: run many seeds, or one again."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.runner import Outcome, failure_of, quiet, run_seeds, shrink
from tests.simulation.schedule import Step, schedule_of

PIECE = 500
"""Schedules per task of a process: seconds of work."""


def main() -> int:
    """0: everything held; 1: something did not."""
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--seeds", type=int, default=2_000, help="how many schedules")
    options.add_argument("--start", type=int, default=0, help="first seed")
    options.add_argument("--jobs", type=int, default=1, help="processes")
    options.add_argument("--seed", type=int, help="run this one alone; where it fails, shrink it")
    options.add_argument("--steps", nargs="*", help="run these steps, as a shrunk schedule is printed")
    given = options.parse_args()
    if given.steps:
        return again([Step.parse(text) for text in given.steps])
    if given.seed is not None:
        return again(schedule_of(given.seed))
    return many(given.start, given.seeds, given.jobs)


def again(steps: list[Step]) -> int:
    """Run one schedule; print the smallest one that fails as well."""
    with quiet():
        failure = failure_of(steps)
    if failure is None:
        sys.stdout.write(f"{len(steps)} steps: everything holds\n")
        return 0
    sys.stdout.write(f"{len(steps)} steps: {failure}\nshrinking\n")
    small = shrink(steps)
    with quiet():
        failure = failure_of(small)
    sys.stdout.write(f"{len(small)} steps are enough: {failure}\n--steps {' '.join(map(str, small))}\n")
    return 1


def many(start: int, count: int, jobs: int) -> int:
    """Run seeds in several processes, with progress."""
    began, total = time.monotonic(), Outcome()
    pieces = [range(at, min(at + PIECE, start + count)) for at in range(start, start + count, PIECE)]
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(run_seeds, piece) for piece in pieces]
        for done in as_completed(running):
            total = joined(total, done.result())
            rate = total.schedules / (time.monotonic() - began)
            left = max(0, count - total.schedules) / rate
            sys.stdout.write(f"{total.schedules:,} of {count:,} schedules, {rate:.0f}/s, {left:.0f} s left\n")
            sys.stdout.flush()
            if total.failures:
                pool.shutdown(cancel_futures=True)
                break
    points = ", ".join(f"{name} {times:,}" for name, times in total.crashes.most_common())
    sys.stdout.write(
        f"{total.schedules:,} schedules, {total.steps:,} steps, {total.crashes.total():,} crashes: {points}\n"
    )
    for seed, failure in total.failures.items():
        sys.stdout.write(f"seed {seed}: {failure}\n")
        again(schedule_of(seed))
    sys.stdout.write(f"{len(total.failures)} failures\n")
    return 1 if total.failures else 0


def joined(one: Outcome, other: Outcome) -> Outcome:
    """Both together."""
    return Outcome(
        one.schedules + other.schedules,
        one.steps + other.steps,
        one.failures | other.failures,
        one.crashes + other.crashes,
    )


if __name__ == "__main__":
    sys.exit(main())
