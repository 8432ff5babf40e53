import numpy as np
import pytest

from muse_stream.benchmarks import serve
from muse_stream.benchmarks.serve_feed import Plan, records
from muse_stream.benchmarks.serve_stage import SLOT_BYTES, Sizes
from muse_stream.benchmarks.serve_world import World


def test_a_ring_is_longer_than_the_pool_and_the_resident_fit_it() -> None:
    sizes = Sizes(items=100, lengths=(10_000, 100_000), behaviours_per_second=1.0, driver="kafka-python")
    for length in sizes.lengths:
        fit = sizes.pool_bytes // (SLOT_BYTES * length)
        assert len(sizes.ring(length)) >= 2 * fit
        assert len(sizes.resident(length)) < fit
    assert not set(sizes.ring(10_000)) & set(sizes.ring(100_000))


def test_a_world_is_the_same_every_time_and_has_interests() -> None:
    world, again = World.of(2_000), World.of(2_000)
    assert np.array_equal(world.vectors, again.vectors)
    unit = world.vectors / np.linalg.norm(world.vectors.astype(np.float64), axis=1, keepdims=True)
    cosines = unit @ unit.T
    same = world.category[:, None] == world.category[None, :]
    np.fill_diagonal(same, val=False)
    assert cosines[same].mean() > 0.4
    assert abs(cosines[~same].mean()) < 0.1


def test_histories_have_the_length_asked_for() -> None:
    frames = World.of(500).histories([1, 2], 2_500, partition_count=4)
    assert len(frames) == 6
    assert len({frame.partition for frame in frames if frame.key == b"1"}) == 1


def test_the_stream_beside_has_some_behaviours_of_the_asked_users() -> None:
    sent = records(Plan(rate=1.0, items=100, asked=(10**9, 10**9 + 1)))
    asked = sum(key in {b"1000000000", b"1000000001"} for key in sent.keys)
    assert 0.001 < asked / len(sent) < 0.004


@pytest.mark.kafka
@pytest.mark.slow
def test_requests_are_measured_through_a_real_worker() -> None:
    rows = serve.run(
        seconds=1.0,
        rates="10",
        lengths="600",
        states="resident,prefetch",
        items=600,
        behaviours_per_second=500.0,
        swaps=2,
    )
    figures = {row.case: row.ours for row in rows}
    for state in ("resident", "prefetch"):
        case = f"history 600, C=200, {state}, 10/s"
        assert figures[f"{case}: without a result"] == 0
        assert figures[f"{case}: gsu p50"] > 0
        for kind in ("swaps", "swaps of space"):
            assert figures[f"{case}, {kind}: failed requests"] == 0
            assert figures[f"{case}, {kind}: requests during swaps"] > 10
            assert figures[f"{case}, {kind}: to the first answer, median"] > 0
    assert figures["history 600, C=200, resident, 10/s: histories loaded"] < 0.5
    assert figures["no requests: freshness p50"] > 0
