import numpy as np
import numpy.typing as npt
import pytest

from muse_stream.esu_scorer.vectors import Judging, baselines, judging, quality
from tests.esu_scorer.vectors.making import companions

COUNT, DIMENSION = 40, 16


def pairs(item: list[int], companion: list[int]) -> Judging:
    yes = np.ones(len(item), np.bool_)
    return Judging(np.array(item), np.array(companion), yes, yes)


def spread(seed: int = 1) -> npt.NDArray[np.float32]:
    return baselines.random_vectors(COUNT, dimension=DIMENSION, seed=seed)


def test_recall_counts_companions_among_the_ten_nearest() -> None:
    vectors = spread()
    cosine = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(cosine, -2)
    order = np.argsort(-cosine, axis=1)
    judged = pairs([0, 0, 5, 5], [int(order[0, 9]), int(order[0, 10]), int(order[5, 0]), int(order[5, 38])])
    assert quality(vectors, judged).recall == 0.5


def test_length_does_not_count_and_int8_is_judged_too() -> None:
    vectors = spread()
    judged = pairs(list(range(20)), list(range(20, 40)))
    scaled = vectors * np.linspace(0.1, 9, COUNT)[:, None]
    assert quality(scaled, judged).recall == quality(vectors, judged).recall
    assert quality(np.rint(100 * vectors).astype(np.int8), judged).items == COUNT


def test_ties_count_against() -> None:
    assert quality(np.ones((COUNT, DIMENSION)), pairs([0], [1])).recall == 0
    assert quality(np.ones((10, DIMENSION)), pairs([0], [1])).recall == 1  # all nine others are among ten


def test_an_item_without_a_vector_is_missed_and_is_nobodys_neighbour() -> None:
    vectors = np.ones((COUNT, DIMENSION), np.float32)
    vectors[10:] = 0
    found = quality(vectors, pairs([0, 0, 20], [1, 20, 0]))
    assert found.recall == pytest.approx(1 / 3)
    assert found.items == 10
    assert found.alignment == 0


def test_alignment_and_uniformity_are_as_defined() -> None:
    vectors = spread()
    distance = np.square(vectors[:, None].astype(np.float64) - vectors[None]).sum(axis=2)
    found = quality(vectors, pairs([0, 3], [1, 4]))
    assert found.alignment == pytest.approx((distance[0, 1] + distance[3, 4]) / 2, rel=1e-5)
    others = distance[~np.eye(COUNT, dtype=bool)]
    assert found.uniformity == pytest.approx(np.log(np.exp(-2 * others).mean()), rel=1e-5)


def test_no_vectors_at_all_are_worth_nothing() -> None:
    found = quality(np.zeros((COUNT, DIMENSION), np.float32), pairs([0], [1]))
    assert (found.recall, found.alignment, found.uniformity, found.items) == (0, None, None, 0)


def test_pairs_are_told_apart_by_what_training_has_seen() -> None:
    training, held_out = companions(count=30, seed=1), companions(count=60, seed=2)
    judged = judging(held_out, training, seed=3)
    together = {
        (a, b)
        for number in np.unique(training.basket)
        for a in training.row[training.basket == number].tolist()
        for b in training.row[training.basket == number].tolist()
    }
    couples = list(zip(judged.item.tolist(), judged.companion.tolist(), strict=True))
    known = set(training.row.tolist())
    assert judged.seen.tolist() == [couple in together for couple in couples]
    assert judged.known.tolist() == [set(couple) <= known for couple in couples]
    assert 0 < judged.seen.sum() < len(judged)


def test_fewer_pairs_can_be_drawn_and_a_seed_draws_the_same() -> None:
    training, held_out = companions(count=30, seed=1), companions(count=60, seed=2)
    few = judging(held_out, training, seed=3, pairs_max=50)
    assert len(few) == 50
    np.testing.assert_array_equal(few.companion, judging(held_out, training, seed=3, pairs_max=50).companion)


def test_recalls_are_split_by_kind_of_pair() -> None:
    vectors = np.eye(COUNT, dtype=np.float32)
    vectors[1], vectors[3] = vectors[0], vectors[2]
    yes, no = True, False
    judged = Judging(np.array([0, 5, 2, 7]), np.array([1, 6, 3, 8]), np.array([yes, yes, no, no]), np.array([yes] * 4))
    found = quality(vectors, judged)
    assert (found.recall_seen, found.recall_unseen, found.recall_new) == (0.5, 0.5, None)
