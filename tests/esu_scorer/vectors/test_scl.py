from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from muse_stream.esu_scorer.errors import DataError, TrainingError
from muse_stream.esu_scorer.vectors import Bags, Progress, SclConfig, hash_texts, judging, quality, train
from muse_stream.esu_scorer.vectors.encoder import Encoder, compact
from tests.esu_scorer.vectors.making import companions, titles

SMALL = SclConfig(dimension=16, hidden=32, epochs=6, batch=64, queue=128)
HELD_OUT = companions(count=80, seed=9)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("told", [True, False], ids=["titles tell", "titles tell nothing"])
def test_items_bought_together_come_near(told: bool) -> None:
    training, heard = companions(), list[Progress]()
    judge = judging(HELD_OUT, training)
    config = SMALL if told else msgspec.structs.replace(SMALL, epochs=20, rate=1e-2)
    vectors = train(hash_texts(titles(told=told)), training, config, judge=judge, told=heard.append)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    before = heard[0].quality
    assert before is not None
    after = quality(vectors, judge)
    assert after.recall > 0.95  # seven companions are all among the ten nearest once the groups are apart
    assert told or before.recall < 0.5
    assert after.alignment is not None
    assert before.alignment is not None
    assert after.alignment < before.alignment


def test_dense_features_are_learnt_from_too() -> None:
    training = companions()
    features = np.random.default_rng(1).standard_normal((48, 24)).astype(np.float32)
    judge = judging(HELD_OUT, training)
    untrained = Encoder(features, dimension=16, hidden=32, seed=1).vectors(features)
    vectors = train(features, training, msgspec.structs.replace(SMALL, epochs=20, rate=5e-3), judge=judge)
    assert quality(vectors, judge).recall > quality(untrained, judge).recall + 0.2


def test_a_seed_gives_the_same_vectors_and_another_does_not() -> None:
    bags, training = hash_texts(titles()), companions()
    first, again = train(bags, training, SMALL), train(bags, training, SMALL)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, train(bags, training, msgspec.structs.replace(SMALL, seed=2)))


def test_judging_changes_nothing() -> None:
    bags, training = hash_texts(titles()), companions()
    judged = train(bags, training, SMALL, judge=judging(HELD_OUT, training))
    np.testing.assert_array_equal(judged, train(bags, training, SMALL))


def test_an_untrained_encoder_keeps_the_geometry_of_texts() -> None:
    bags = compact(hash_texts(titles()))
    assert isinstance(bags, Bags)
    dense = np.zeros((len(bags), bags.width))
    dense[bags.row, bags.bucket] = bags.weight
    vectors = Encoder(bags, dimension=1_024, hidden=8, seed=1).vectors(bags)
    assert np.abs(vectors @ vectors.T - dense @ dense.T).max() < 0.2  # projected at random: 1/sqrt(1024) = 0.03 each


def test_an_item_without_a_word_gets_no_vector_and_disturbs_nothing() -> None:
    vectors = train(hash_texts([*titles(), " "]), companions(), msgspec.structs.replace(SMALL, epochs=1))
    assert not vectors[-1].any()
    assert np.isfinite(vectors).all()


def test_progress_tells_how_far_it_is() -> None:
    heard, training, now = list[Progress](), companions(count=40), iter(range(1_000))
    config = msgspec.structs.replace(SMALL, epochs=3)
    train(hash_texts(titles()), training, config, told=heard.append, clock=lambda: float(next(now)))
    assert [(one.epoch, one.pairs) for one in heard] == [(epoch, epoch * len(training)) for epoch in range(4)]
    assert heard[1].rate == len(training)  # an epoch lasts from one tick to the next
    assert [one.left_seconds for one in heard[1:]] == [2, 1, 0]
    assert heard[3].loss < heard[1].loss
    assert all(one.quality is None for one in heard)


def test_a_learnt_temperature_moves_and_a_given_one_stays() -> None:
    for learn in (True, False):
        heard: list[Progress] = []
        config = msgspec.structs.replace(SMALL, learn_temperature=learn)
        train(hash_texts(titles()), companions(), config, told=heard.append)
        assert (abs(heard[-1].temperature - 0.2) > 1e-3) == learn


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(TrainingError, match=r"the loss is nan .* lower the rate"):
        train(hash_texts(titles()), companions(), msgspec.structs.replace(SMALL, temperature=1e-40))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"queue": 0}, "queue is 0, expected more than 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"rate": -1.0}, "rate is -1.0"),
        ({"momentum": 1.0}, "momentum is 1.0, expected at least 0 and less than 1"),
    ],
)
def test_settings_that_cannot_be_are_told(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        train(hash_texts(titles()), companions(), msgspec.structs.replace(SMALL, **wrong))


def test_baskets_of_other_items_are_told() -> None:
    training = companions()
    training = replace(training, row=training.row + 1)
    with pytest.raises(DataError, match="item row 48, features have 48 rows"):
        train(hash_texts(titles()), training, SMALL)
