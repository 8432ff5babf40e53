import numpy as np
import pytest

from muse_stream.esu_scorer.errors import DataError
from muse_stream.streams.demo.artefact import feature_spec
from muse_stream.streams.demo.dataset import PURCHASE, load
from muse_stream.streams.learning.sources import VECTOR_NAMES, named_vectors, open_data
from muse_stream.streams.wire.ids import id_of


def test_online_retail_has_the_demo_s_features_and_says_where_negatives_come_from() -> None:
    source, retail = open_data("online-retail", None, {"negatives": "2"}), load()
    assert source.info.spec == feature_spec()
    assert "negatives are drawn" in source.info.caveat
    catalogue, customers = retail.catalogue, retail.customers
    band = dict(zip(catalogue.item.tolist(), catalogue.price_band.tolist(), strict=True))
    country = dict(zip(customers.user.tolist(), map(id_of, customers.country), strict=True))
    block = next(iter(source.blocks("train")))
    assert block.candidate_features[:, 2].tolist() == [band[item] for item in block.item.tolist()]
    assert block.user_features[:, 0].tolist() == [country[user] for user in block.user.tolist()]
    assert block.label.mean() == pytest.approx(1 / 3, abs=1e-3)
    assert (retail.behaviours.action == PURCHASE).any()


def test_online_retail_s_vectors_are_the_bundled_ones() -> None:
    catalogue = load().catalogue
    ((items, vectors),) = open_data("online-retail", None, {}).vectors()
    own = catalogue.vectors.any(axis=1)
    np.testing.assert_array_equal(items, catalogue.item[own])
    np.testing.assert_array_equal(vectors, catalogue.vectors[own])


def test_planted_takes_its_numbers() -> None:
    small = {
        "users": "20",
        "length": "200",
        "samples": "200",
        "dial": "0.5",
        "clusters": "40",
        "categories": "4",
        "recent": "20",
    }
    source = open_data("planted", None, small)
    assert "dial 0.5" in source.info.name
    assert "20 users" in source.info.name


def test_planted_has_random_vectors_alone_the_same_each_time() -> None:
    source = open_data(
        "planted",
        None,
        {"users": "20", "length": "200", "samples": "200", "clusters": "40", "categories": "4", "recent": "20"},
    )
    (vectors,) = named_vectors("planted", source).values()
    first, second = ([piece.copy() for _, piece in vectors] for _ in range(2))
    assert len(first) > 0
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    items = [items for items, _ in vectors]
    np.testing.assert_array_equal(np.concatenate(items), np.concatenate([items for items, _ in source.vectors()]))


@pytest.mark.slow
def test_online_retail_has_vectors_of_every_kind() -> None:
    source = open_data("online-retail", None, {})
    found = named_vectors("online-retail", source)
    assert found.keys() == VECTOR_NAMES.keys()
    for pieces in found.values():
        ((items, vectors),) = pieces
        assert len(items) == len(vectors) > 1_000
        assert vectors.dtype == np.int8


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("movielens", {}, "there is no data set 'movielens', expected one of online-retail, planted"),
        ("kuairand", {}, "kuairand needs the path of its files"),
        ("planted", {"dail": "1"}, "planted has no option 'dail', it has categories, clusters, dial"),
        ("planted", {"users": "many"}, "option users is 'many', expected a whole number"),
        ("planted", {"dial": "x"}, "option dial is 'x', expected a number"),
        ("online-retail", {"name": "x"}, "online-retail has no option 'name', it has negatives, seed, smoothing"),
    ],
)
def test_what_cannot_be_opened(name: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(DataError, match=text):
        open_data(name, None, options)


def test_a_path_where_none_is_needed(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(DataError, match="planted takes no path"):
        open_data("planted", Path(str(tmp_path)), {})
    with pytest.raises(DataError, match="kuairand has no option 'users', it has none"):
        open_data("kuairand", Path(str(tmp_path)), {"users": "3"})
