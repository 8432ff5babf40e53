import numpy as np
import torch

from muse_stream.esu_scorer.network.simtier import BINS, SimTier, simtier_bins


def neighbours(value: np.float32) -> list[np.float32]:
    return [np.nextafter(value, np.float32(-2)), value, np.nextafter(value, np.float32(2))]


def test_bins_on_every_edge_and_beside_it_equal_numpy() -> None:
    edges = [near for tenth in range(-10, 11) for near in neighbours(np.float32(tenth) / np.float32(10))]
    cosines = np.array(edges, np.float32)
    wanted = (np.ceil(np.float32(10) * cosines) + 10).astype(int).clip(0, 21)
    assert simtier_bins(torch.from_numpy(cosines)).tolist() == wanted.tolist()


def test_the_product_is_taken_in_float32() -> None:
    # 0.3 as float32 lies above 0.3: ten times it is 3 exactly in float32, and above 3 in float64.
    cosine = np.float32(0.3)
    assert np.ceil(10 * float(cosine)) == 4
    assert simtier_bins(torch.tensor([cosine])).tolist() == [13]


def test_the_ends_have_bins_of_their_own() -> None:
    hair = np.nextafter(np.float32(1), np.float32(2))
    assert simtier_bins(torch.tensor([-1.0, -0.9999, 0.0, 1e-9, 1.0, float(hair)])).tolist() == [0, 1, 10, 11, 20, 21]
    assert simtier_bins(torch.tensor([-1.5, 1.5])).tolist() == [0, BINS - 1]


def test_counts_leave_out_what_is_masked() -> None:
    block = SimTier()
    block.weight.data = torch.arange(BINS, dtype=torch.float32)
    cosines = torch.tensor([[0.05, 0.07, 0.95, 0.95], [0.05, 0.05, 0.05, 0.05]])
    mask = torch.tensor([[True, True, True, False], [False, False, False, False]])
    wanted = np.zeros((2, BINS), np.float32)
    wanted[0, 11], wanted[0, 20] = 11 * np.log(3), 20 * np.log(2)
    np.testing.assert_allclose(block(cosines, mask).detach().numpy(), wanted, rtol=1e-6)
