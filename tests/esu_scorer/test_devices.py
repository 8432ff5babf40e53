from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import BatchError, Cosines, DeviceError, ScoreBatch, Scorer
from muse_stream.streams.worker.model import device_of

from .making import artefact, score_batch

MODEL = artefact()
SCORER = Scorer(MODEL)


def without_cosines(batch: ScoreBatch) -> ScoreBatch:
    zero = np.zeros((1, 1), np.float32)
    return replace(
        batch,
        recent_cosine=np.broadcast_to(zero, batch.recent_cosine.shape),
        retrieved_cosine=np.broadcast_to(zero, batch.retrieved_cosine.shape),
    )


@pytest.mark.parametrize("counts", [(3, 0, 4), (0,), ()])
def test_cosines_handed_over_give_the_same_scores(counts: tuple[int, ...]) -> None:
    batch = score_batch(2, counts)
    cosines = Cosines(batch.recent_cosine, batch.retrieved_cosine)
    assert SCORER.score(without_cosines(batch), cosines).tolist() == SCORER.score(batch).tolist()
    assert batch.retrieved_cosine.flags.writeable  # and are not written to


def test_cosines_are_taken_as_they_lie() -> None:
    batch = score_batch(2)
    wide = np.zeros((len(batch.recent_cosine), 9), np.float32)
    wide[:, :6] = batch.recent_cosine
    cosines = Cosines(wide[:, :6], torch.from_numpy(batch.retrieved_cosine))
    assert SCORER.score(without_cosines(batch), cosines).tolist() == SCORER.score(batch).tolist()


def test_a_present_cosine_that_is_no_number_is_refused_and_a_masked_one_never_read() -> None:
    batch = score_batch(2)
    for name, present in (("recent", batch.recent_cosine_present), ("retrieved", batch.retrieved_mask)):
        given = {"recent": batch.recent_cosine, "retrieved": batch.retrieved_cosine}
        given[name] = np.where(present, given[name], np.float32(np.nan))
        assert SCORER.score(batch, Cosines(**given)).tolist() == SCORER.score(batch).tolist()
        given[name] = np.where(present, np.float32(np.inf), given[name])
        with pytest.raises(BatchError, match="finite"):
            SCORER.score(batch, Cosines(**given))


@pytest.mark.parametrize("column", [np.zeros((7, 6)), np.zeros((7, 5), np.float32)])
def test_cosines_of_another_type_or_shape_are_told(column: np.ndarray[Any, Any]) -> None:
    batch = score_batch(2)
    with pytest.raises(BatchError, match=r"recent_cosine must be torch.float32 \[7, 6\] on cpu, found"):
        SCORER.score(batch, Cosines(column, batch.retrieved_cosine))


def test_a_device_that_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="finds no usable GPU"):
        Scorer(MODEL, "cuda")
    with pytest.raises(DeviceError, match="'gpu9' is no device"):
        Scorer(MODEL, "gpu9")


@pytest.mark.parametrize(
    ("device", "backend", "usable", "expected"),
    [
        ("auto", "auto", True, "cuda"),
        ("auto", "cuda", True, "cuda"),
        ("auto", "cpu", True, "cpu"),
        ("auto", "auto", False, "cpu"),
        ("cpu", "cuda", True, "cpu"),
        ("cuda", "cpu", False, "cuda"),
    ],
)
def test_scores_are_computed_where_searches_are(
    monkeypatch: pytest.MonkeyPatch, device: str, backend: str, usable: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    settings: Any = SimpleNamespace(model=SimpleNamespace(device=device), engine=SimpleNamespace(backend=backend))
    assert device_of(settings) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("counts", [(3, 0, 4), (200,), (1,)])
def test_a_gpu_scores_as_the_cpu_does(counts: tuple[int, ...]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("Torch finds no usable GPU")
    scorer, batch = Scorer(MODEL, "cuda"), score_batch(2, counts)
    expected = SCORER.score(batch)
    np.testing.assert_allclose(scorer.score(batch), expected, atol=1e-5)
    there = Cosines(torch.tensor(batch.recent_cosine).cuda(), torch.tensor(batch.retrieved_cosine).cuda())
    np.testing.assert_allclose(scorer.score(without_cosines(batch), there), expected, atol=1e-5)
    with pytest.raises(BatchError, match="on cuda"):
        scorer.score(batch, Cosines(batch.recent_cosine, batch.retrieved_cosine))
