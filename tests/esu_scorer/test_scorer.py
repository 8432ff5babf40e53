from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muse_stream.esu_scorer import Artefact, BatchError, FeatureSpec, MuseConfig, ScoreBatch, Scorer
from muse_stream.esu_scorer.errors import ScoreError

from .making import RETAIL, artefact, score_batch, vocabularies
from .oracle import Oracle

MODEL = artefact()
SCORER = Scorer(MODEL)

COUNTS = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), COUNTS, st.integers(0, 5), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_scores_equal_the_plain_network(
    seed: int, counts: tuple[int, ...], recent: int, retrieved: int, filled: float
) -> None:
    batch = score_batch(seed, counts, recent=recent, retrieved=retrieved, filled=filled)
    np.testing.assert_allclose(SCORER.score(batch), Oracle(MODEL).probability(batch), atol=1e-5)


@pytest.mark.parametrize("form", ["released", "paper"])
@pytest.mark.parametrize("spec", [RETAIL, FeatureSpec.taobao_mm(), FeatureSpec.of({"item": 4, "category": 4}, {})])
def test_both_forms_and_other_features(form: str, spec: FeatureSpec) -> None:
    config = MuseConfig(form="paper" if form == "paper" else "released", tower=(32, 8))
    model = artefact(7, spec, config)
    batch = score_batch(1, (3, 2), spec=spec)
    np.testing.assert_allclose(Scorer(model).score(batch), Oracle(model).probability(batch), atol=1e-5)


def test_the_two_forms_differ() -> None:
    batch = score_batch(1, (3, 2))
    paper = Scorer(artefact(3, config=MuseConfig(form="paper")))
    assert np.abs(paper.score(batch) - SCORER.score(batch)).max() > 1e-3


def padded(batch: ScoreBatch, by: int) -> ScoreBatch:
    """Append `by` masked columns full of rubbish to every history."""
    rubbish = {np.dtype(np.int64): 7, np.dtype(np.float32): np.nan, np.dtype(np.bool_): False}
    wider = {}
    for field in fields(ScoreBatch):
        column = getattr(batch, field.name)
        if field.name.startswith("re"):
            fill = np.full((len(column), by), rubbish[column.dtype], column.dtype)
            wider[field.name] = np.concatenate([column, fill], axis=1)
    return replace(batch, **wider)


def test_padding_changes_nothing() -> None:
    batch = score_batch(5, (4, 3))
    np.testing.assert_allclose(SCORER.score(padded(batch, 9)), SCORER.score(batch), atol=1e-6)


def test_a_cosine_of_a_behaviour_that_is_not_there_is_not_counted() -> None:
    batch = score_batch(5, (4,), filled=1.0)
    mask = batch.recent_mask.copy()
    mask[:, -1] = False
    shorter = replace(
        batch,
        recent_item=batch.recent_item[:, :-1],
        recent_category=batch.recent_category[:, :-1],
        recent_mask=batch.recent_mask[:, :-1],
        recent_cosine=batch.recent_cosine[:, :-1],
        recent_cosine_present=batch.recent_cosine_present[:, :-1],
    )
    np.testing.assert_allclose(SCORER.score(replace(batch, recent_mask=mask)), SCORER.score(shorter), atol=1e-6)


def test_a_user_without_behaviours_has_zeros_in_every_behaviour_block() -> None:
    stages = SCORER.stages(score_batch(2, (3,), filled=0.0)).stages
    for name in ("recent_attention", "sa_ta", "recent_simtier", "retrieved_simtier"):
        assert not stages[name].any(), name
    assert not stages["tower_input"][:, : 4 * 32].any()
    assert np.isfinite(SCORER.score(score_batch(2, (3,), recent=0, retrieved=0))).all()


def test_several_users_equal_one_by_one() -> None:
    batch = score_batch(3, (5, 0, 1, 7))
    single = np.concatenate([SCORER.score(part) for part in batch.split()])
    np.testing.assert_allclose(SCORER.score(batch), single, atol=1e-6)


def test_unknown_and_missing_ids_score_alike() -> None:
    batch = score_batch(3, (5,))
    unknown = replace(batch, candidate_features=np.full_like(batch.candidate_features, -(2**62)))
    missing = replace(batch, candidate_features=np.zeros_like(batch.candidate_features))
    assert SCORER.score(unknown).tolist() == SCORER.score(missing).tolist()


def test_no_candidates_give_no_scores() -> None:
    scores = SCORER.score(score_batch(1, (0, 0)))
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_read_only_and_strided_columns_are_taken() -> None:
    batch = score_batch(3, (4,))
    views = {}
    for field in fields(ScoreBatch):
        column = np.asfortranarray(getattr(batch, field.name))
        column.flags.writeable = False
        views[field.name] = column
    assert SCORER.score(ScoreBatch(**views)).tolist() == SCORER.score(batch).tolist()


@pytest.mark.parametrize("column", ["candidate_features", "user_features"])
def test_other_features_are_told_by_name(column: str) -> None:
    batch = score_batch(1)
    narrower = replace(batch, **{column: getattr(batch, column)[:, :1]})
    with pytest.raises(BatchError, match=rf"{column} has 1 columns, this model reads \d: "):
        SCORER.score(narrower)


def test_many_threads_get_the_same_answers() -> None:
    batches = [score_batch(seed, (3, 8)) for seed in range(16)]
    alone = [SCORER.score(batch).tolist() for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        assert [scores.tolist() for scores in pool.map(SCORER.score, batches * 4)] == alone * 4


def test_scores_that_are_no_numbers_are_never_returned() -> None:
    model = MODEL.model()
    model.network.sa_ta.tau = nn.Parameter(torch.zeros(1))
    broken = Artefact.from_model(model, vocabularies(), space="v1", version="broken", trained=True)
    with pytest.raises(ScoreError, match=r"artefact 'broken' .* gave 3 of 3 scores that are not finite"):
        Scorer(broken).score(score_batch(1, (3,), filled=1.0))


def test_stages_are_named_and_belong_to_the_scores() -> None:
    batch = score_batch(4, (2, 3), recent=6, retrieved=5)
    result = SCORER.stages(batch)
    assert {name: stage.shape for name, stage in result.stages.items()} == {
        "recent_simtier": (5, 22),
        "retrieved_simtier": (5, 22),
        "recent_attention": (5, 32),
        "recent_weights": (5, 6),
        "sa_ta": (5, 32),
        "retrieved_weights": (5, 5),
        "tower_input": (5, 4 * 32 + 40 + 20 + 44),
        "before_step": (5, 2),
    }
    np.testing.assert_allclose(result.probability[:, 1], SCORER.score(batch), atol=1e-6)
    assert result.logits.shape == (5, 2)


def test_a_scorer_names_its_artefact() -> None:
    assert SCORER.digest == MODEL.digest
    assert SCORER.artefact is MODEL


def test_scoring_leaves_the_artefact_as_it_was() -> None:
    model = Artefact.untrained(RETAIL, {"item": [1, 2]}, seed=1, space="v1")
    before = {name: tensor.clone() for name, tensor in model.tensors.items()}
    Scorer(model).score(score_batch(1))
    assert all(tensor.equal(before[name]) for name, tensor in model.tensors.items())
