from dataclasses import replace

import numpy as np

from muse_stream.esu_scorer.data import Behaviours
from muse_stream.esu_scorer.models.id_vectors import Catalogue, id_vectors

from .world import KNOWN, OneBlock, block, model


def test_an_item_has_its_smallest_known_category() -> None:
    samples = block(1, longest=9, items=3)
    count = len(samples.histories.behaviours)
    item, category = np.full(count, 2), np.arange(count) % 3 * 4
    item[0], category[0] = 1, 0
    zeros = np.zeros(count, np.int64)
    behaviours = Behaviours(item, category, zeros.astype(np.uint8), zeros)
    candidates = np.full((len(samples), 2), [29, 3])
    changed = replace(
        samples, histories=replace(samples.histories, behaviours=behaviours), candidate_features=candidates
    )
    catalogue = Catalogue.of(OneBlock(changed))
    assert catalogue.item.tolist() == [1, 2, 29]
    assert catalogue.category.tolist() == [0, 4, 3]
    assert catalogue.category_of(np.array([2, 5, 29, 1])).tolist() == [4, 0, 3, 0]
    assert Catalogue(np.empty(0, np.int64), np.empty(0, np.int64)).category_of(np.array([7])).tolist() == [0]


def test_vectors_have_length_one_and_unknown_items_have_none() -> None:
    catalogue = Catalogue(np.array([3, 9, 29]), np.array([1, 0, 2]))
    ((items, vectors),) = id_vectors(model(), KNOWN, catalogue)
    assert items.tolist() == [3, 9]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert vectors.shape == (2, 8)
