"""The forward pass is differentiable, with sparse gradients for tables, before any training code exists."""

import torch
from torch import Tensor

from muse_stream.esu_scorer.network import Forward, Model
from muse_stream.esu_scorer.scorer import to_rows
from tests.esu_scorer.making import RETAIL, artefact, score_batch, vocabularies


def loss_of(filled: float) -> tuple[Model, Tensor]:
    source = artefact()
    model = Model(RETAIL, source.manifest.network, {name: ids.row_count for name, ids in vocabularies().items()})
    model.load_state_dict(source.model().state_dict())
    result: Forward = model(to_rows(score_batch(1, (1, 1, 1, 1), filled=filled), RETAIL, vocabularies()))
    return model, -torch.log(result.probability[:, 1]).mean()


def test_tables_get_sparse_gradients_and_the_rest_dense_ones() -> None:
    model, loss = loss_of(filled=0.7)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.is_sparse == name.startswith("embeddings."), name


def test_gradients_are_finite_without_any_history() -> None:
    model, loss = loss_of(filled=0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        dense = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        assert bool(torch.isfinite(dense).all()), name


def test_one_seed_gives_one_network() -> None:
    counts = {name: ids.row_count for name, ids in vocabularies().items()}
    first, second, other = (Model(RETAIL, artefact().manifest.network, counts) for _ in range(3))
    first.reset(5)
    second.reset(5)
    other.reset(6)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert not torch.equal(first.embeddings.table("item").weight, other.embeddings.table("item").weight)
    assert float(first.embeddings.table("item").weight.detach().abs().max()) <= 0.002
