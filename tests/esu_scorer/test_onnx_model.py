from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from muse_stream.esu_scorer import BatchError, Cosines, OnnxModel, ScoreBatch, ServedModel, onnx_model
from muse_stream.esu_scorer.errors import ArtefactCorruptError, ScoreError

from .making import score_batch
from .onnx_making import BOOL, FLOAT, IDS, INT64, PROBABILITY, K, R, constant, graph, own_artefact

MODEL: ServedModel = OnnxModel(own_artefact())


def batch_of(seed: int = 1, counts: tuple[int, ...] = (3, 0, 4)) -> ScoreBatch:
    return score_batch(seed, counts, recent=R, retrieved=K)


def expected(batch: ScoreBatch) -> np.ndarray:
    near = np.where(batch.retrieved_mask, batch.retrieved_cosine, 0).sum(axis=1)
    scores: np.ndarray = 1 / (1 + np.exp(-(near + 0.1 * (batch.candidate_features[:, 0] % 10))))
    return scores


def test_scores_are_the_graphs() -> None:
    for seed in range(5):
        batch = batch_of(seed)
        scores = MODEL.score(batch)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected(batch), atol=1e-6)


def test_what_it_is() -> None:
    assert (MODEL.device, MODEL.info.version, len(MODEL.info.digest)) == ("cpu", "mine-1", 64)


def test_no_candidates_give_no_scores() -> None:
    assert MODEL.score(batch_of(counts=(0, 0))).shape == (0,)


def test_a_giant_request_is_run_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "ROWS_AT_ONCE", 3)
    batch = batch_of(counts=(7, 1, 5))
    np.testing.assert_allclose(MODEL.score(batch), expected(batch), atol=1e-6)


def test_shorter_histories_are_padded_and_longer_ones_refused() -> None:
    shorter = score_batch(1, (3,), recent=R, retrieved=K - 2)
    np.testing.assert_allclose(MODEL.score(shorter), expected(shorter), atol=1e-6)
    with pytest.raises(BatchError, match=r"retrieved_cosine has 6 columns, this model reads 5"):
        MODEL.score(score_batch(1, (3,), recent=R, retrieved=K + 1))


def test_other_features_are_told_by_name() -> None:
    batch = batch_of()
    with pytest.raises(BatchError, match=r"candidate_features has 1 columns, this model reads 3: item, category"):
        MODEL.score(replace(batch, candidate_features=batch.candidate_features[:, :1]))


def test_cosines_from_elsewhere_are_read_in_the_place_of_the_batchs() -> None:
    batch = batch_of()
    blank = replace(batch, retrieved_cosine=np.zeros_like(batch.retrieved_cosine))
    cosines = Cosines(batch.recent_cosine, batch.retrieved_cosine)
    assert MODEL.score(blank, cosines).tolist() == MODEL.score(batch).tolist()


def test_many_threads_get_the_same_answers() -> None:
    batches = [batch_of(seed, (3, 8)) for seed in range(8)]
    alone = [MODEL.score(batch).tolist() for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        assert [scores.tolist() for scores in pool.map(MODEL.score, batches * 4)] == alone * 4


def near(batch: ScoreBatch) -> np.ndarray:
    return batch.recent_mask[batch.owners()]


def counted(batch: ScoreBatch) -> np.ndarray:
    both: np.ndarray = batch.recent_cosine_present & near(batch)
    return both


COLUMNS: dict[str, tuple[int, int, Callable[[ScoreBatch], np.ndarray]]] = {
    "candidate_features": (INT64, 3, lambda batch: batch.candidate_features),
    "user_features": (INT64, 2, lambda batch: batch.user_features[batch.owners()]),
    "recent_item": (INT64, R, lambda batch: np.where(near(batch), batch.recent_item[batch.owners()], 0)),
    "recent_category": (INT64, R, lambda batch: np.where(near(batch), batch.recent_category[batch.owners()], 0)),
    "recent_mask": (BOOL, R, near),
    "recent_cosine": (FLOAT, R, lambda batch: np.where(counted(batch), batch.recent_cosine, 0)),
    "recent_cosine_present": (BOOL, R, counted),
    "retrieved_item": (INT64, K, lambda batch: np.where(batch.retrieved_mask, batch.retrieved_item, 0)),
    "retrieved_category": (INT64, K, lambda batch: np.where(batch.retrieved_mask, batch.retrieved_category, 0)),
    "retrieved_cosine": (FLOAT, K, lambda batch: np.where(batch.retrieved_mask, batch.retrieved_cosine, 0)),
    "retrieved_mask": (BOOL, K, lambda batch: batch.retrieved_mask),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_input_is_given_as_documented(name: str) -> None:
    dtype, width, column = COLUMNS[name]
    weights = np.linspace(-0.02, 0.02, width).astype(np.float32)
    nodes = [
        helper.make_node("Cast", [name], ["numbers"], to=FLOAT),
        helper.make_node("Mul", ["numbers", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis"], ["logit"], keepdims=0),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    data = graph(nodes, ((name, dtype, ["T", width]),), constants=(constant("weights", *weights.tolist()),))
    batch = batch_of(3, (4, 2))
    before = {field: getattr(batch, field).copy() for field in COLUMNS}
    wanted = 1 / (1 + np.exp(-(column(batch) * weights).sum(axis=1)))
    np.testing.assert_allclose(OnnxModel(own_artefact(data)).score(batch), wanted, atol=1e-6)
    assert all((getattr(batch, field) == value).all() for field, value in before.items())


def of(*nodes: Any, inputs: tuple[Any, ...] = (IDS,), constants: tuple[Any, ...] = ()) -> bytes:
    return graph(list(nodes), inputs, (PROBABILITY,), constants)


FIRST = helper.make_node("Gather", ["candidate_features", "first"], ["item"], axis=1)
NUMBER = helper.make_node("Cast", ["item"], ["number"], to=FLOAT)
REFUSED = {
    "ids out of range": (
        of(
            FIRST,
            helper.make_node("Gather", ["table", "item"], ["probability"]),
            constants=(constant("table", 0.1, 0.2),),
        ),
        "failed inside the graph.*any int64 ids",
    ),
    "no probability": (
        of(FIRST, helper.make_node("Cast", ["item"], ["probability"], to=FLOAT)),
        "expected probabilities",
    ),
    "not finite": (of(FIRST, NUMBER, helper.make_node("Log", ["number"], ["probability"])), "that are not finite"),
    "looks at the others": (
        of(
            FIRST,
            helper.make_node("Mod", ["item", "ten"], ["digit"]),
            helper.make_node("Cast", ["digit"], ["number"], to=FLOAT),
            helper.make_node("Softmax", ["number"], ["probability"], axis=0),
        ),
        "scores a candidate otherwise when others are in the batch",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_does_not_score_is_refused_before_it_serves(name: str) -> None:
    data, says = REFUSED[name]
    with pytest.raises(ArtefactCorruptError, match=says):
        OnnxModel(own_artefact(data))


def test_scores_that_are_no_numbers_are_never_returned() -> None:
    """Ids that the trial does not have: 3, whose logarithm of a negative number is none."""
    nodes = [
        FIRST,
        helper.make_node("Equal", ["item", "three"], ["bad"]),
        helper.make_node("Where", ["bad", "minus", "tenth"], ["number"]),
        helper.make_node("Sqrt", ["number"], ["probability"]),
    ]
    data = of(*nodes, constants=(constant("three", 3, dtype=np.int64), constant("minus", -1.0)))
    model, batch = OnnxModel(own_artefact(data)), batch_of()
    items = np.where(np.arange(batch.candidate_count)[:, None] == 2, 3, 1)
    with pytest.raises(ScoreError, match=r"artefact 'mine-1' .* gave 1 of 7 scores that are not finite"):
        model.score(replace(batch, candidate_features=np.repeat(items, 3, axis=1)))
