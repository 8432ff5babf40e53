"""Training's columns are serving's columns."""

import numpy as np
import pytest

from muse_stream.esu_scorer.data import Behaviours, Block, Histories
from muse_stream.esu_scorer.errors import BatchError
from muse_stream.esu_scorer.retrieval import Retrieved
from muse_stream.esu_scorer.training.assembly import assemble, join, median_age_ms

from .world import SmallSource, make

HISTORY = Behaviours(
    item=np.arange(101, 111),
    category=np.arange(201, 211),
    action=np.ones(10, np.uint8),
    time_ms=1_000 + 10 * np.arange(10),
)
# User 7 has the first six behaviours, user 8 the other four, user 9 none.
OWNERS = Histories(np.array([7, 8, 9]), np.array([0, 6, 10]), np.array([6, 10, 10]), HISTORY)


def block(owner: list[int], start: list[int], stop: list[int], country: list[int] | None = None) -> Block:
    count = len(owner)
    return Block(
        histories=OWNERS,
        owner=np.array(owner),
        start=np.array(start),
        stop=np.array(stop),
        candidate_features=np.stack([500 + np.arange(count), 600 + np.arange(count)], axis=1),
        user_features=np.array(country or [0] * count)[:, None],
        time_ms=np.full(count, 2_000),
        label=np.zeros(count, bool),
    )


def found(samples: Block, places: list[list[int]], recent: int = 3) -> Retrieved:
    rows = np.array(places, np.int64)
    count = len(samples)
    near = np.repeat(np.arange(count, dtype=np.float32)[:, None] / np.float32(10), recent, axis=1)
    present = samples.stop[:, None] - 1 - np.arange(recent) >= samples.start[:, None]
    return Retrieved(rows, np.full(rows.shape, 0.5, np.float32), near, present)


def test_recent_come_newest_first_and_end_where_the_window_begins() -> None:
    samples = block([0, 1], [4, 0], [6, 4])
    columns = assemble(samples, found(samples, [[4], [1]])).columns
    assert columns.recent_item.tolist() == [[106, 105, 0], [110, 109, 108]]
    assert columns.recent_category.tolist() == [[206, 205, 0], [210, 209, 208]]
    assert columns.recent_mask.tolist() == [[True, True, False], [True, True, True]]


def test_retrieved_places_are_the_users_own_and_what_is_masked_is_zero() -> None:
    samples = block([0, 1, 2], [0, 0, 0], [6, 4, 0])
    columns = assemble(samples, found(samples, [[5, 0], [2, -1], [-1, -1]])).columns
    assert columns.retrieved_item.tolist() == [[106, 101], [109, 0], [0, 0]]
    assert columns.retrieved_category.tolist() == [[206, 201], [209, 0], [0, 0]]
    assert columns.retrieved_cosine.tolist() == [[0.5, 0.5], [0.5, 0.0], [0.0, 0.0]]
    assert columns.recent_mask.any(axis=1).tolist() == [True, True, False]
    assert columns.recent_cosine[2].tolist() == [0, 0, 0]


def test_samples_of_one_window_share_the_users_side() -> None:
    samples = block([0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [6, 4, 5, 6, 6], country=[3, 3, 3, 3, 4])
    assembled = assemble(samples, found(samples, [[0]] * 5))
    assert assembled.columns.user_count == 4
    order = assembled.order
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert np.array_equal(assembled.columns.candidate_features, samples.candidate_features[order])
    owners = assembled.columns.owners()
    newest = assembled.columns.recent_item[owners, 0]
    assert newest.tolist() == [HISTORY.item[OWNERS.lows[samples.owner[i]] + samples.stop[i] - 1] for i in order]
    assert assembled.columns.user_features[owners, 0].tolist() == samples.user_features[order, 0].tolist()
    assert np.allclose(assembled.columns.recent_cosine.max(axis=1), order / 10)


def test_samples_that_share_nothing_keep_their_order() -> None:
    samples = block([1, 0, 0], [0, 0, 0], [2, 6, 5])
    assert assemble(samples, found(samples, [[0]] * 3)).order.tolist() == [0, 1, 2]


@pytest.mark.parametrize("place", [6, 1, -2])
def test_a_place_outside_the_window_is_refused(place: int) -> None:
    samples = block([0, 0], [2, 2], [6, 6])
    with pytest.raises(BatchError, match=rf"sample 1 has window 2\.\.6, but place {place} was retrieved"):
        assemble(samples, found(samples, [[3], [place]]))


def test_retrieval_for_other_samples_is_refused() -> None:
    samples = block([0, 0], [0, 0], [6, 6])
    with pytest.raises(BatchError, match="retrieved for 1 samples, the block has 2"):
        assemble(samples, found(samples.take([0]), [[3]]))


def test_parts_of_a_batch_are_joined_in_order() -> None:
    source = SmallSource().whole("test")
    search = make(SmallSource().vectors())
    parts = [source.take(slice(0, 21)), source.take(slice(21, 60))]
    joined = join([assemble(part, search.retrieve(part, 5, 4)) for part in parts])
    whole = assemble(source, search.retrieve(source, 5, 4))
    back, back_whole = np.argsort(joined.order), np.argsort(whole.order)
    for name in ("candidate_features", "retrieved_item", "retrieved_cosine", "recent_cosine"):
        assert np.array_equal(getattr(joined.columns, name)[back], getattr(whole.columns, name)[back_whole]), name
    recent = joined.columns.recent_item[joined.columns.owners()][back]
    assert np.array_equal(recent, whole.columns.recent_item[whole.columns.owners()][back_whole])


def test_no_retrieved_behaviours_at_all() -> None:
    samples = block([0, 2], [0, 0], [6, 0])
    nothing = found(samples, [[], []], recent=2)
    assert assemble(samples, nothing).columns.retrieved_item.shape == (2, 0)
    assert median_age_ms(samples, nothing).tolist() == [-1, -1]


def test_the_median_age_is_of_what_was_retrieved() -> None:
    samples = block([0, 0, 1, 2], [0] * 4, [6, 6, 4, 0])
    ages = median_age_ms(samples, found(samples, [[0, 5, 1], [4, 3, -1], [-1, -1, -1], [-1, -1, -1]]))
    assert ages.tolist() == [2_000 - 1_010, 2_000 - 1_040, -1, -1]
    timeless = Block(
        OWNERS, samples.owner, samples.start, samples.stop, samples.candidate_features, samples.user_features,
        np.zeros(4, np.int64), samples.label,
    )  # fmt: skip
    assert median_age_ms(timeless, found(samples, [[0, 5, 1]] + [[-1] * 3] * 3)).tolist() == [-1] * 4
