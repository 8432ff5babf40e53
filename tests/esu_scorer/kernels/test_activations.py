import numpy as np
import torch
from torch.nn import functional

from muse_stream.esu_scorer.kernels.activations import dice, exp, silu, softmax
from muse_stream.esu_scorer.kernels.jit import F32, kernel
from muse_stream.esu_scorer.network.tower import Dice

VALUES = np.concatenate([np.linspace(-87, 88, 20_001), np.linspace(-1, 1, 2_001), [0.0, -0.0]]).astype(np.float32)


@kernel
def exp_all(values: F32) -> None:
    for i in range(len(values)):
        values[i] = exp(values[i])


@kernel
def call_silu(values: F32) -> None:
    silu(values)


@kernel
def call_softmax(values: F32) -> None:
    softmax(values, len(values), np.float32(0))


@kernel
def call_dice(values: F32, gamma: F32) -> None:
    dice(values, gamma)


def test_exponentials_are_right_to_two_units_in_the_last_place() -> None:
    found, wanted = VALUES.copy(), np.exp(VALUES.astype(np.float64))
    exp_all(found)
    assert (np.abs(found - wanted) / wanted).max() < 2 * np.finfo(np.float32).eps


def test_beyond_its_ends_exp_is_held_and_nan_stays() -> None:
    found = np.array([-np.inf, -1e9, 1e9, np.inf, np.nan], np.float32)
    exp_all(found)
    assert found[0] == found[1] < 2e-38
    assert 1e38 < found[2] == found[3] < np.inf
    assert np.isnan(found[4])


def test_silu_is_torchs() -> None:
    found = VALUES.copy()
    call_silu(found)
    np.testing.assert_allclose(found, functional.silu(torch.from_numpy(VALUES)).numpy(), rtol=1e-6, atol=1e-30)


def test_softmax_is_torchs_and_of_nothing_nothing() -> None:
    found: F32 = VALUES[:50] / np.float32(7)
    wanted = torch.softmax(torch.from_numpy(found.copy()), 0).numpy()
    call_softmax(found)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    call_softmax(found[:0])


def test_dice_is_the_networks() -> None:
    rng = np.random.default_rng(0)
    layer = Dice(77)
    with torch.no_grad():
        layer.gamma.copy_(torch.from_numpy(rng.normal(size=77)))
    z = rng.normal(2, 3, (1, 77)).astype(np.float32)
    wanted = layer(torch.from_numpy(z.copy())).detach().numpy()[0]
    found = z[0].copy()
    call_dice(found, layer.gamma.detach().numpy())
    np.testing.assert_allclose(found, wanted, atol=1e-5)
