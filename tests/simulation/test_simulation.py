"""A thousand schedules, and a thousand more with the slow tests; `make simulate` runs a hundred thousand."""

from pathlib import Path

import pytest

from tests.simulation.database import RocksDisks
from tests.simulation.plants import PLANTS
from tests.simulation.runner import failure_of, quiet, run_seeds, shrink
from tests.simulation.schedule import Step, schedule_of

SEEDS_CI, SEEDS, PIECE = 1_000, 2_000, 250
PIECES = [pytest.param(at, marks=[pytest.mark.slow] if at >= SEEDS_CI else []) for at in range(0, SEEDS, PIECE)]
ROCKS_SEEDS = range(10_000, 10_012)
PLANT_SEEDS = 2_000
"""Several times what the plant that is hardest to find takes."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("start", PIECES)
def test_every_copy_is_the_function_of_its_log_prefix(start: int) -> None:
    outcome = run_seeds(range(start, start + PIECE))
    assert outcome.failures == {}, "see: python -m tests.simulation --seed N"
    assert outcome.schedules == PIECE
    assert outcome.crashes.total() > PIECE


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", ROCKS_SEEDS)
def test_real_databases_give_the_same(tmp_path: Path, seed: int) -> None:
    with quiet():
        assert failure_of(schedule_of(seed), disks=lambda: RocksDisks(tmp_path)) is None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTS)
def test_planted_bugs_are_found(plant: str) -> None:
    with PLANTS[plant]():
        outcome = run_seeds(range(PLANT_SEEDS))
    assert len(outcome.failures) == 1, f"{outcome.schedules} schedules did not find it"
    (failure,) = outcome.failures.values()
    assert failure.startswith("Wrong: ")


def test_a_failing_seed_fails_again_and_shrinks() -> None:
    with PLANTS["duplicate_window_in_memory_only"]():
        (seed,) = run_seeds(range(PLANT_SEEDS)).failures
        steps = schedule_of(seed)
        small = shrink(steps)
        with quiet():
            assert failure_of(small) is not None
            assert all(failure_of(small[:at] + small[at + 1 :]) is None for at in range(len(small)))
    assert len(small) < len(steps)
    with quiet():
        assert failure_of(small) is None


def test_a_schedule_can_be_written_down() -> None:
    steps = schedule_of(3)
    assert [Step.parse(str(step)) for step in steps] == steps
