"""In what two artefacts differ."""

import torch

from muse_stream.esu_scorer import FeatureSpec, MuseConfig
from muse_stream.esu_scorer.differences import FieldDifference, TensorDifference, field_differences, tensor_differences
from muse_stream.esu_scorer.manifest import plain_form

from .making import artefact

WIDER = FeatureSpec.of({"item": 16, "category": 16, "price_band": 8, "shop": 4}, {"country": 8, "customer": 16})


def test_a_model_does_not_differ_from_itself() -> None:
    one, again = artefact(1), artefact(1)
    assert field_differences(plain_form(one.manifest), plain_form(again.manifest)) == []
    assert tensor_differences(one.tensors, again.tensors) == []


def test_fields_are_named_by_their_place() -> None:
    one = artefact(1)
    other = artefact(1, WIDER, MuseConfig(tower=(32,)))
    differences = field_differences(plain_form(one.manifest), plain_form(other.manifest))
    found = {difference.name: difference for difference in differences}
    assert set(found) == {
        "features.candidate.order",
        "features.candidate.shop",
        "features.user.customer",
        "network.tower",
        "vocabulary_digest",
    }
    assert found["features.user.customer"] == FieldDifference("features.user.customer", 12, 16)
    assert found["features.candidate.shop"] == FieldDifference("features.candidate.shop", None, 4)


def test_metrics_and_unknown_fields_are_compared_too() -> None:
    found = field_differences({"metrics": {"gauc": 0.7}, "digest": "a"}, {"metrics": {"gauc": 0.71}, "graph": [1, 2]})
    assert found == [FieldDifference("graph", None, [1, 2]), FieldDifference("metrics.gauc", 0.7, 0.71)]


def test_the_largest_difference_comes_first() -> None:
    first = {"a": torch.zeros(3), "b": torch.zeros(2), "ids": torch.tensor([1, 2]), "same": torch.ones(1)}
    second = {"a": torch.tensor([0.0, 0.5, 0.0]), "b": torch.tensor([-2.0, 1.0]), "ids": torch.tensor([1, 3])}
    assert tensor_differences(first, {**second, "same": torch.ones(1)}) == [
        TensorDifference("b", "float32 [2]", "float32 [2]", 2.0, 2),
        TensorDifference("a", "float32 [3]", "float32 [3]", 0.5, 1),
        TensorDifference("ids", "int64 [2]", "int64 [2]", None, 1),
    ]


def test_tensors_that_cannot_be_compared_come_before() -> None:
    first = {"a": torch.zeros(3), "gone": torch.zeros(1), "kind": torch.zeros(2)}
    second = {"a": torch.ones(3), "new": torch.zeros(4, 5), "kind": torch.zeros(2, dtype=torch.int64)}
    assert tensor_differences(first, second) == [
        TensorDifference("gone", "float32 [1]", None),
        TensorDifference("kind", "float32 [2]", "int64 [2]"),
        TensorDifference("new", None, "float32 [4, 5]"),
        TensorDifference("a", "float32 [3]", "float32 [3]", 1.0, 3),
    ]
