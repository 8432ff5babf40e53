from itertools import pairwise

import numpy as np
import pytest

from muse_stream.esu_scorer.data import PARTS, Block, Part, Source
from muse_stream.esu_scorer.data.planted import Planted
from muse_stream.esu_scorer.data.planted_requests import recent_rows
from muse_stream.esu_scorer.errors import DataError
from tests.esu_scorer.data.simple_scorers import unit_vectors


def small(*, dial: float = 0.9, seed: int = 1, users: int = 60, length: int = 400) -> Planted:
    return Planted(users=users, length=length, samples=20 * users, dial=dial, seed=seed)


def columns(blocks: list[Block]) -> list[np.ndarray]:
    names = ("user", "start", "stop", "candidate_features", "user_features", "time_ms", "label")
    return [np.concatenate([getattr(block, name) for block in blocks]) for name in names]


def recent_items(block: Block, recent: int = 50) -> np.ndarray:
    rows = recent_rows(block.histories.lows[block.owner], block.stop, recent)
    return block.histories.behaviours.item[rows]


def visits(source: Planted, item: np.ndarray, user: np.ndarray) -> np.ndarray:
    return np.asarray((source.world.cluster_of(item)[..., None] == source.world.tastes[user - 1]).any(axis=-1))


def test_it_is_a_source_of_as_many_samples_as_it_says() -> None:
    source: Source = small()
    assert source.info.samples == {"train": 1200, "validation": 300, "test": 600}
    for part in PARTS:
        assert sum(len(block) for block in source.blocks(part)) == source.info.samples[part]
    assert "planted" in source.info.caveat
    assert "dial 0.9" in source.info.name


@pytest.mark.parametrize("part", PARTS)
def test_equal_arguments_give_equal_samples(part: Part) -> None:
    one, other, third = (columns(list(small(seed=seed).blocks(part))) for seed in (1, 1, 2))
    assert all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))
    assert not np.array_equal(one[3], third[3])


def test_shuffling_moves_samples_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_stream.esu_scorer.data.planted.PIECE", 400 * 16)
    source = small()
    given, mixed, again, other = (columns(list(source.blocks("train", seed=seed))) for seed in (None, 1, 1, 2))
    assert len(list(source.blocks("train"))) == 4
    assert all(np.array_equal(left, right) for left, right in zip(mixed, again, strict=True))
    assert not np.array_equal(mixed[0], given[0])
    assert not np.array_equal(mixed[0], other[0])

    def as_set(part: list[np.ndarray]) -> set[tuple[int, ...]]:
        return {tuple(row) for row in np.column_stack([each.reshape(len(each), -1) for each in part]).tolist()}

    assert as_set(mixed) == as_set(given) == as_set(other)


def test_a_sample_comes_after_its_window_and_before_what_follows() -> None:
    for part in PARTS:
        for block in small().blocks(part):
            times = block.histories.behaviours.time_ms
            newest = block.histories.lows[block.owner] + block.stop - 1
            assert (times[newest] < block.time_ms).all()
            follows = np.minimum(newest + 1, len(times) - 1)
            inside = block.stop < (block.histories.highs - block.histories.lows)[block.owner]
            assert (times[follows] > block.time_ms)[inside].all()
            same_user = np.diff(np.repeat(block.histories.user, block.histories.highs - block.histories.lows)) == 0
            assert (np.diff(times)[same_user] > 0).all()


def test_parts_follow_each_other_within_a_user() -> None:
    source = small()
    stops: list[dict[int, np.ndarray]] = []
    for part in PARTS:
        (block,) = source.blocks(part)
        stops.append({user: block.stop[block.user == user] for user in block.histories.user.tolist()})
    for earlier, later in pairwise(stops):
        assert all(earlier[user].max() < later[user].min() for user in earlier)
    (block,) = source.blocks("test")
    lengths = block.histories.highs - block.histories.lows
    assert all(stops[2][user].max() == length for user, length in enumerate(lengths.tolist(), 1))
    assert lengths.min() >= 200
    assert lengths.max() <= 400


def test_features_and_categories_are_those_of_the_world() -> None:
    source = small()
    for block in source.blocks("train"):
        behaviours = block.histories.behaviours
        assert np.array_equal(behaviours.category, source.world.category_of(behaviours.item))
        assert np.array_equal(block.category, source.world.category_of(block.item))
        assert np.array_equal(block.user_features[:, 0], source.world.group[block.user - 1])
        assert behaviours.item.min() >= 1
        assert behaviours.item.max() <= source.world.items


def test_at_one_no_recent_window_shows_a_lifelong_interest_and_below_some_do() -> None:
    shown = {}
    for dial in (0.0, 0.9, 1.0):
        source = small(dial=dial)
        (block,) = source.blocks("train")
        shown[dial] = visits(source, recent_items(block), block.user[:, None]).mean()
    assert shown[1.0] == 0
    assert 0 < shown[0.9] < shown[0.0] / 4


def test_lifelong_interests_are_visited_rarely_all_over_the_body() -> None:
    source = Planted(users=60, length=2000, samples=1200, dial=1.0)
    (block,) = source.blocks("train")
    lows, highs = block.histories.lows, block.histories.highs
    user = np.repeat(block.histories.user, highs - lows)
    visit = visits(source, block.histories.behaviours.item, user)
    assert visit.sum() / 60 == pytest.approx(40, rel=0.1)
    share = (np.flatnonzero(visit) - np.repeat(lows, highs - lows)[visit]) / np.repeat(highs - lows, highs - lows)[
        visit
    ]
    counts = np.histogram(share, bins=4, range=(0, 0.9))[0]
    assert counts.min() > counts.max() / 2


def test_candidates_are_rare_items_and_histories_hold_few_repeats() -> None:
    source = Planted(users=1_500, samples=60_000)
    items = np.concatenate([block.item for block in source.blocks("train")])
    assert len(items) / source.world.items == pytest.approx(0.3)
    assert (np.unique(items, return_counts=True)[1] <= 2).mean() > 0.7


def test_labels_are_drawn_with_the_chances_of_the_oracle() -> None:
    source = Planted(users=300, length=600, samples=12_000)
    (block,) = source.blocks("train")
    chance = source.oracle_scores(block)
    for low, high in pairwise(np.quantile(chance, [0, 0.25, 0.5, 0.75, 1])):
        inside = (chance >= low) & (chance <= high)
        error = np.sqrt((chance[inside] * (1 - chance[inside])).sum()) / inside.sum()
        assert block.label[inside].mean() == pytest.approx(chance[inside].mean(), abs=4 * error)


def test_every_item_has_one_vector_near_its_clusters_centre() -> None:
    source = Planted(users=5, samples=100, length=400, clusters=300, categories=20)
    items = np.concatenate([items for items, _ in source.vectors()])
    assert np.array_equal(items, np.arange(1, source.world.items + 1))
    pieces = list(source.vectors())
    assert len(pieces) == 2
    assert all(vectors.dtype == np.int8 and (np.abs(vectors).max(axis=1) == 127).all() for _, vectors in pieces)
    table = unit_vectors(source)[1:]
    cluster = source.world.cluster_of(items)
    cosine = table[:500] @ table[:500].T
    expected = np.outer(source.world.nearness[:500], source.world.nearness[:500])
    same = (cluster[:500, None] == cluster[None, :500]) & ~np.eye(500, dtype=bool)
    assert np.abs(cosine - expected)[same].mean() < 0.06
    assert np.abs(cosine[cluster[:500, None] != cluster[None, :500]]).max() < 0.5


def test_long_histories_come_in_blocks_of_bounded_size() -> None:
    source = Planted(users=21, length=100_000, samples=2_100)
    sizes = [(len(block.histories.behaviours), len(block)) for block in source.blocks("test")]
    assert len(sizes) == 3
    assert max(size for size, _ in sizes) <= 1 << 20
    assert sum(count for _, count in sizes) == source.info.samples["test"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dial": 1.5}, "dial is 1.5, expected 0"),
        ({"dial": float("nan")}, "dial is nan"),
        ({"users": 0}, "users is 0, expected at least 1"),
        ({"samples": 0}, "samples is 0"),
        ({"recent": 0}, "recent is 0"),
        ({"categories": 3}, "categories is 3, expected at least 4"),
        ({"length": 200}, r"histories of 100 to 200 behaviours cannot hold 13 requests a user .* above 293"),
        ({"clusters": 40}, "40 clusters leave a category with 0 of them"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Planted(**({"users": 100, "samples": 4_000} | change))  # type: ignore[arg-type]


def test_the_shortest_length_that_the_message_names_is_enough() -> None:
    source = Planted(users=10, samples=400, length=294)
    assert sum(len(block) for block in source.blocks("train")) == 400
