import pytest
import torch

from muse_stream.esu_scorer.network import masks
from muse_stream.esu_scorer.network.masks import attention_weights, by_user, masked_mean


def test_weights_under_the_mask_are_zero_and_the_rest_as_without_padding() -> None:
    scores = torch.tensor([[1.0, 5.0, 2.0], [1.0, 2.0, 3.0]])
    mask = torch.tensor([[True, False, True], [False, False, False]])
    weights = attention_weights(scores, mask)
    torch.testing.assert_close(weights[0, [0, 2]], torch.softmax(torch.tensor([1.0, 2.0]), 0) + 1e-7)
    assert weights[0, 1] == 0
    assert weights[1].tolist() == [0, 0, 0]


def test_every_weight_that_is_there_has_the_floor() -> None:
    weights = attention_weights(torch.tensor([[0.0, -300.0]]), torch.tensor([[True, True]]))
    torch.testing.assert_close(weights[0, 1], torch.tensor(1e-7))


def test_gradients_stay_finite_when_all_is_masked() -> None:
    scores = torch.ones(2, 3, requires_grad=True)
    attention_weights(scores, torch.zeros(2, 3, dtype=torch.bool)).sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_means_count_only_what_is_there() -> None:
    rows = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [90.0, 90.0]], [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(rows, mask).tolist() == [[2.0, 3.0], [0.0, 0.0]]


def test_products_by_user_equal_a_gather_for_equal_and_unequal_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(3, 4, 5, generator=generator)
    for counts in ((2, 2, 2), (1, 1, 1), (0, 4, 1), (0, 0, 0), (30, 0, 2), (1, 22, 2)):
        bounds = [0, counts[0], counts[0] + counts[1], sum(counts)]
        candidates = torch.randn(sum(counts), 4, generator=generator)
        owners = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
        wanted = torch.einsum("ta,tab->tb", candidates, users[owners])
        torch.testing.assert_close(by_user(candidates, users, owners, bounds), wanted)


def test_no_users_at_all() -> None:
    assert by_user(torch.empty(0, 4), torch.empty(0, 4, 5), torch.empty(0, dtype=torch.int64), [0]).shape == (0, 5)


def test_few_and_many_candidates_per_user_have_equal_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([3, 0, 1, 2])
    bounds, owners = [0, 3, 3, 4, 6], torch.repeat_interleave(torch.arange(4), counts)
    candidates = torch.randn(6, 5, generator=generator, requires_grad=True)
    users = torch.randn(4, 5, 7, generator=generator, requires_grad=True)
    upstream = torch.randn(6, 7, generator=generator)
    found = []
    for few in (0, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(masks, "FEW", few)
            product = by_user(candidates, users, owners, bounds)
        found.append(torch.autograd.grad(product, (candidates, users), upstream))
    for looped, copied in zip(*found, strict=True):
        torch.testing.assert_close(looped, copied)
