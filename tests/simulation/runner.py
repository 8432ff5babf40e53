"""Many schedules, and the smallest one that fails.

Invariant: whether a schedule fails depends on nothing but the schedule.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.simulation.database import Disks, MemoryDisks
from tests.simulation.schedule import Step, schedule_of
from tests.simulation.world import World

REPORT_SECONDS = 5.0


@dataclass
class Outcome:
    """What many schedules came to.

    Attributes:
        schedules: How many ran.
        steps: Their steps.
        failures: What went wrong, by seed.
        crashes: Where workers crashed, and how often.

    """

    schedules: int = 0
    steps: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    crashes: Counter[str] = field(default_factory=Counter)


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines: trouble is what these worlds are made of."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def failure_of(
    steps: Sequence[Step], crashes: Counter[str] | None = None, disks: Callable[[], Disks] = MemoryDisks
) -> str | None:
    """What goes wrong in a schedule; None where nothing does."""
    world = World(disks())
    try:
        world.run(steps)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if crashes is not None:
            crashes += world.around.crashes
    return None


def run_seeds(
    seeds: Iterable[int], *, failures_max: int = 1, progress: Callable[[Outcome], None] = lambda _: None
) -> Outcome:
    """Run the schedules of these seeds until so many have failed."""
    outcome, told = Outcome(), time.monotonic()
    with quiet():
        for seed in seeds:
            steps = schedule_of(seed)
            failure = failure_of(steps, outcome.crashes)
            outcome.schedules += 1
            outcome.steps += len(steps)
            if failure is not None:
                outcome.failures[seed] = failure
                if len(outcome.failures) >= failures_max:
                    break
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                progress(outcome)
    return outcome


def shrink(steps: Sequence[Step]) -> list[Step]:
    """A schedule that fails and of which no step can be left out: ever smaller pieces are taken out (ddmin)."""
    kept, piece = list(steps), max(1, len(steps) // 2)
    with quiet():
        while piece:
            at = 0
            while at < len(kept):
                without = kept[:at] + kept[at + piece :]
                if failure_of(without) is not None:
                    kept = without
                else:
                    at += piece
            piece = piece // 2
    return kept
