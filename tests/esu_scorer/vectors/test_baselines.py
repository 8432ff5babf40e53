import numpy as np
import pytest

from muse_stream.esu_scorer.vectors import baselines, copurchase, hash_texts, random_vectors, tfidf_svd
from muse_stream.esu_scorer.vectors.baskets import Baskets
from muse_stream.esu_scorer.vectors.lowrank import left_factor
from tests.esu_scorer.vectors.making import EACH, GROUPS, companions, titles

COUNT = GROUPS * EACH


def test_the_left_factor_is_that_of_the_exact_decomposition() -> None:
    generator = np.random.default_rng(3)
    dense = generator.standard_normal((60, 90)) * (generator.random((60, 90)) < 0.2)
    row, column = np.nonzero(dense)
    value = dense[row, column].astype(np.float32)
    for power in (0.5, 1.0):
        found = left_factor(row, column, value, dense.shape, rank=10, power=power, seed=1).astype(np.float64)
        left, values, _ = np.linalg.svd(dense)
        exact = left[:, :10] * values[:10] ** power
        np.testing.assert_allclose(found @ found.T, exact @ exact.T, atol=1e-4)


def test_a_rank_beyond_the_matrix_is_filled_with_zeros() -> None:
    found = left_factor(
        np.array([0, 1, 2]), np.array([0, 1, 1]), np.ones(3, np.float32), (3, 2), rank=8, power=1.0, seed=1
    )
    assert found.shape == (3, 8)
    np.testing.assert_allclose(found @ found.T, [[1, 0, 0], [0, 1, 1], [0, 1, 1]], atol=1e-6)


def test_tfidf_keeps_the_cosines_of_the_texts_and_gives_none_to_an_empty_one() -> None:
    bags = hash_texts([*titles(), ""])
    dense = np.zeros((len(bags), bags.width))
    dense[bags.row, bags.bucket] = bags.weight
    found = tfidf_svd(bags)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, dense @ dense.T, atol=1e-5)  # 48 texts have at most rank 48
    assert not found[-1].any()


def test_copurchase_is_the_factor_of_positive_mutual_information(monkeypatch: pytest.MonkeyPatch) -> None:
    found_baskets = companions()
    counts = np.zeros((COUNT + 1, COUNT + 1))
    for number in np.unique(found_baskets.basket):
        items = found_baskets.row[found_baskets.basket == number]
        counts[np.ix_(items, items)] += 1 - np.eye(len(items))
    marginal = counts.sum(axis=1)
    context = marginal**0.75 / (marginal**0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(counts / (marginal[:, None] * context))
    positive = np.where(np.isfinite(information) & (information > 0), information, 0)
    left, values, _ = np.linalg.svd(positive)
    exact = baselines.unit(left[:, :20] * np.sqrt(values[:20]))
    monkeypatch.setattr(baselines, "_PAIRS_AT_ONCE", 100)  # counted in many pieces
    found = copurchase(found_baskets, COUNT + 1, dimension=20)
    assert not found[COUNT].any()
    np.testing.assert_allclose(found[:COUNT] @ found[:COUNT].T, exact[:COUNT] @ exact[:COUNT].T, atol=1e-2)


def test_an_item_without_a_companion_gets_no_vector() -> None:
    low = np.zeros(3, np.int64)
    alone = Baskets(np.array([0, 2, 4]), low, low, np.full(3, 3))
    assert copurchase(alone, 6, dimension=4).any(axis=1).tolist() == [True, False, True, False, True, False]


def test_random_vectors_are_unit_and_follow_the_seed() -> None:
    found = random_vectors(100, seed=4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(found, random_vectors(100, seed=4))
    assert not np.array_equal(found, random_vectors(100, seed=5))
