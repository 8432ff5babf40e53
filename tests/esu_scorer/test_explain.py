"""Explanations against the definition: lists with one entry deleted, and the network once more in NumPy."""

from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer import BatchError, Cosines, ModelInfo, OnnxModel, ScoreBatch, Scorer
from muse_stream.esu_scorer.batch import Float32
from muse_stream.esu_scorer.config import BlocksConfig
from muse_stream.esu_scorer.counterfactual import Subject, leave_one_out
from muse_stream.esu_scorer.explain import Transparent, explain, look_inside, tiers

from .making import artefact, score_batch
from .onnx_making import own_artefact
from .oracle import Oracle

MODEL = artefact()
SCORER = Scorer(MODEL)
ORACLE = Oracle(MODEL)
STEP = 1e-5
"""Two outputs nearer than this before the last Dice may fall on either side of its step."""


@dataclass
class OnlyScores:
    """A model that shows nothing of its inside."""

    scorer: Scorer

    @property
    def info(self) -> ModelInfo:
        return self.scorer.info

    @property
    def device(self) -> str:
        return self.scorer.device

    def score(self, batch: ScoreBatch, cosines: Cosines | None = None) -> Float32:
        return self.scorer.score(batch, cosines)


def subject(seed: int, candidates: int = 3, k: int = 5, r: int = 4, history: int = 9) -> Subject:
    """Candidates whose lists are filled from the front, each retrieved behaviour with a place of its own."""
    rng = np.random.default_rng(seed)
    batch = score_batch(seed, (candidates,), recent=r + 1, retrieved=k + 1)
    found = rng.integers(0, min(k + 1, history) + 1, (candidates, 1))
    near = np.arange(r + 1) < history
    batch = replace(
        batch,
        recent_mask=near[np.newaxis],
        recent_cosine_present=batch.recent_cosine_present & near,
        retrieved_mask=np.arange(k + 1) < found,
    )
    drawn = [rng.permutation(max(history, k + 1))[: k + 1] for _ in range(candidates)]
    places = np.array(drawn, np.int64).reshape(candidates, k + 1)
    return Subject(batch, np.where(places <= r, places, -1))


def without(one: Subject, candidate: int, column: int) -> ScoreBatch:
    """The candidate's own batch with the behaviour deleted from both lists, cut to K and R."""
    batch = next(replace(one.batch, bounds=np.array([0, one.batch.candidate_count])).split())
    place = int(one.places[candidate, column])
    row = slice(candidate, candidate + 1)

    def retrieved(values: np.ndarray) -> np.ndarray:
        return np.delete(values[row], column, axis=1)

    def recent(values: np.ndarray) -> np.ndarray:
        return np.delete(values, place, axis=1) if 0 <= place < one.r else values[:, : one.r]

    return replace(
        batch,
        bounds=np.array([0, 1]),
        candidate_features=batch.candidate_features[row],
        **{name: recent(getattr(batch, name)) for name in ("recent_item", "recent_category", "recent_mask")},
        **{name: recent(getattr(batch, name)[row]) for name in ("recent_cosine", "recent_cosine_present")},
        **{
            name: retrieved(getattr(batch, name))
            for name in ("retrieved_item", "retrieved_category", "retrieved_cosine", "retrieved_mask")
        },
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 12))
def test_leaving_one_out_is_deleting_it_from_both_lists(seed: int, tile_rows: int, history: int) -> None:
    one = subject(seed, history=history)
    with mock.patch("muse_stream.esu_scorer.counterfactual.TILE_ROWS", tile_rows):
        found = leave_one_out(SCORER.score, one)
    for candidate in range(3):
        for column in range(one.k):
            score = found[candidate, column]
            if not one.batch.retrieved_mask[candidate, column]:
                assert np.isnan(score)
                continue
            alone = without(one, candidate, column)
            if ORACLE.gap(ORACLE.tower_input(alone, 0, 0)) < STEP:
                continue
            assert score == pytest.approx(SCORER.score(alone)[0], abs=1e-6)
            assert score == pytest.approx(ORACLE.probability(alone)[0], abs=1e-5)


def test_the_spares_were_not_read() -> None:
    one = subject(4, candidates=2, k=3, r=2)
    served = one.served()
    assert served.retrieved_item.tolist() == one.batch.retrieved_item[:, :3].tolist()
    assert served.recent_item.tolist() == one.batch.recent_item[:, :2].tolist()
    assert served.recent_cosine.tolist() == one.batch.recent_cosine[:, :2].tolist()
    assert (served.user_count, served.candidate_count) == (1, 2)


def test_nobody_and_nothing_can_be_explained() -> None:
    for one in (subject(1, candidates=0), subject(1, k=0), subject(1, r=0), subject(1, history=0)):
        found = explain(SCORER, one)
        assert found.without.shape == (one.batch.candidate_count, one.k)
        assert found.inside is not None
        assert found.inside.without_block.shape == (one.batch.candidate_count, 8)


def test_work_ends_before_a_pass_where_it_is_told_to() -> None:
    with pytest.raises(TimeoutError):
        explain(SCORER, subject(1), mock.Mock(side_effect=TimeoutError))


def test_a_subject_has_one_user_and_spares() -> None:
    with pytest.raises(BatchError, match="found 2 users, 5 retrieved and 6 recent columns"):
        Subject(score_batch(1, (1, 1)), np.zeros((2, 5), np.int64))
    with pytest.raises(BatchError, match="search for K \\+ 1"):
        Subject(score_batch(1, (1,), retrieved=0), np.zeros((1, 0), np.int64))
    with pytest.raises(BatchError, match=r"places is int64 \(1, 4\), expected int64 \(1, 5\)"):
        Subject(score_batch(1, (1,)), np.zeros((1, 4), np.int64))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_a_block_is_replaced_by_what_is_read_when_nothing_is_known(seed: int) -> None:
    batch = subject(seed).served()
    inside = look_inside(SCORER, batch)
    nobody = score_batch(1, (1,), filled=0.0)
    unknown = replace(
        nobody,
        user_features=np.zeros_like(nobody.user_features),
        candidate_features=np.zeros_like(nobody.candidate_features),
    )
    nothing = ORACLE.tower_input(unknown, 0, 0)
    stops = np.cumsum([width for _, width in SCORER.blocks])
    starts = np.append(0, stops[:-1])
    for candidate in range(batch.candidate_count):
        inputs = ORACLE.tower_input(batch, 0, candidate)
        for block, (first, last) in enumerate(zip(starts, stops, strict=True)):
            changed = inputs.copy()
            changed[first:last] = nothing[first:last]
            if ORACLE.gap(changed) >= STEP:
                assert inside.without_block[candidate, block] == pytest.approx(ORACLE.click(changed), abs=1e-5)
            if inside.blocks[block] not in {"candidate", "user"}:
                assert not nothing[first:last].any(), "a user without behaviours has zeros there"


def test_blocks_are_the_towers_input_in_order() -> None:
    assert [name for name, _ in SCORER.blocks] == [
        "recent_attention",
        "sa_ta",
        "retrieved_mean",
        "recent_mean",
        "candidate",
        "user",
        "recent_simtier",
        "retrieved_simtier",
    ]
    batch = subject(3).served()
    inputs = SCORER.stages(batch).stages["tower_input"]
    assert inputs.shape[1] == sum(width for _, width in SCORER.blocks)
    first = sum(width for _, width in SCORER.blocks[:4])
    known = ORACLE.embedding("item", int(batch.candidate_features[0, 0]))
    np.testing.assert_allclose(inputs[0, first : first + len(known)], known, rtol=1e-6)


def test_blocks_that_are_off_are_not_there() -> None:
    config = BlocksConfig(unit="none", retrieved_mean=False, retrieved_simtier=False, recent_simtier=False, tower=(8,))
    scorer = Scorer(artefact(3, config=config))
    inside = look_inside(scorer, subject(3).served())
    assert inside.blocks == ("recent_attention", "recent_mean", "candidate", "user")
    assert inside.weights is None


def test_weights_are_the_networks_softmax() -> None:
    batch = subject(5, k=5).served()
    inside = look_inside(SCORER, batch)
    assert inside.weights is not None
    assert not inside.weights[~batch.retrieved_mask].any()
    np.testing.assert_allclose(inside.scores, SCORER.score(batch), atol=1e-5)
    filled = batch.retrieved_mask.any(axis=1)
    np.testing.assert_allclose(inside.weights.sum(axis=1)[filled], 1.0, atol=1e-5)
    assert inside.recent_weights.shape == (3, 4)


def test_a_model_that_only_scores_is_explained_without_its_inside() -> None:
    one = subject(6)
    plain = explain(OnlyScores(SCORER), one)
    assert plain.inside is None
    np.testing.assert_array_equal(plain.without, explain(SCORER, one).without)
    assert isinstance(SCORER, Transparent)


def test_a_model_out_of_an_onnx_graph_is_explained_by_removal() -> None:
    model = OnnxModel(own_artefact())
    one = subject(7)
    found = explain(model, one)
    assert found.inside is None
    for candidate, column in np.argwhere(one.batch.retrieved_mask[:, : one.k]).tolist():
        expected = model.score(without(one, candidate, column))[0]
        assert found.without[candidate, column] == pytest.approx(expected, abs=1e-6)


def test_tiers_are_simtiers_and_none_where_there_is_no_cosine() -> None:
    cosines = np.array([[-1.0, 0.0, 0.05, 1.0, np.nan]], np.float32)
    assert tiers(cosines, np.array([[True, True, True, True, False]])).tolist() == [[0, 10, 11, 20, -1]]
