"""What the cost model begins with is measured on this machine and is never nonsense."""

from pathlib import Path

import pytest

from muse_stream.streams.serving.cost import SEED, CostModel
from muse_stream.streams.worker import pace
from tests.streams.serving.parts import make_world


def test_it_measures_what_depends_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "ROWS", 500)
    world, costs = make_world(tmp_path), CostModel()
    assert world.scorer is not None
    pace.measure(costs, world.scorer, ("reference", None, 64, 10))
    world.store.close()
    find, score, rest = costs.seed
    assert (find.rows, score.requests, rest) == (SEED.find.rows, SEED.score.requests, SEED.rest)
    assert min(find.passes, find.pairs, score.passes, score.scored) > 0
    assert (find.pairs, score.scored) != (SEED.find.pairs, SEED.score.scored)


@pytest.mark.parametrize(("least", "usual", "expected"), [(2.0, 10.0, 8.0), (9.9, 10.0, 1.0), (30.0, 10.0, 1.0)])
def test_a_size_always_costs_something(least: float, usual: float, expected: float) -> None:
    assert pace._of_size(least, usual) == pytest.approx(expected)
