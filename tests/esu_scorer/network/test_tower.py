import torch

from muse_stream.esu_scorer.network.tower import Dice, Tower, probability


def test_dice_keeps_large_units_and_scales_small_ones_by_gamma() -> None:
    dice = Dice(4)
    out = dice(torch.tensor([[-30.0, -30.0, -30.0, 100.0]])).detach()
    p = torch.sigmoid(torch.tensor([-1.0, -1.0, -1.0, 3.0]) / 3**0.5)
    z = torch.tensor([-30.0, -30.0, -30.0, 100.0])
    torch.testing.assert_close(out[0], -0.25 * (1 - p) * z + p * z)


def test_first_weights_follow_the_release() -> None:
    tower = Tower(308, (256, 128, 64))
    tower.reset(torch.Generator().manual_seed(0))
    parameters = dict(tower.named_parameters())
    assert [tuple(parameters[f"linears.{i}.weight"].shape) for i in range(4)] == [
        (256, 308),
        (128, 256),
        (64, 128),
        (2, 64),
    ]
    assert abs(float(parameters["linears.0.weight"].detach().std()) * 308**0.5 - 1) < 0.02
    assert set(parameters["linears.2.bias"].tolist()) == {float(torch.tensor(0.1))}
    assert set(parameters["activations.3.gamma"].tolist()) == {-0.25}


def test_probability_is_clipped() -> None:
    result = probability(torch.tensor([[200.0, -200.0], [0.0, 0.0]]))
    assert result[0, 0] == 1.0
    torch.testing.assert_close(result[0, 1], torch.tensor(1e-7))
    torch.testing.assert_close(result[1], torch.tensor([0.5, 0.5]))
