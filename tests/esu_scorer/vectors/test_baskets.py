import numpy as np
import pytest

from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.vectors import Purchases, baskets
from tests.esu_scorer.vectors.making import HOUR_MS, companions, purchases

I64 = np.int64


def shop(rows: list[tuple[int, int, int]], filler: int = 40) -> Purchases:
    """Rows (user, item, minute), and one large basket of another user, so that there is enough."""
    every = [*rows, *((999, 1_000 + number, 0) for number in range(filler))]
    user, row, minute = (np.array(column, I64) for column in zip(*every, strict=True))
    return Purchases(user, row, minute * 60_000)


def groups(found: object) -> list[list[int]]:
    assert hasattr(found, "row")
    assert hasattr(found, "basket")
    return [found.row[found.basket == number].tolist() for number in np.unique(found.basket)][:-1]


ROWS = [(7, 3, 10), (8, 3, 10), (7, 1, 10), (7, 5, 11), (7, 1, 12), (8, 4, 60), (7, 3, 10), (9, 2, 5)]


def test_a_basket_is_what_one_user_buys_at_one_moment_each_item_once() -> None:
    assert groups(baskets(shop(ROWS))) == [[1, 3]]


def test_a_gap_joins_what_follows_within_it() -> None:
    assert groups(baskets(shop(ROWS), gap_ms=60_000)) == [[1, 3, 5]]
    assert groups(baskets(shop(ROWS), gap_ms=50 * 60_000)) == [[1, 3, 5], [3, 4]]


def test_a_drawn_companion_is_another_item_of_the_basket_and_each_is_equally_likely() -> None:
    found = baskets(shop([(1, 10, 0), (1, 20, 0), (1, 30, 0)]))
    generator = np.random.default_rng(5)
    draws = [found.draw(generator) for _ in range(600)]
    item = np.stack([left[:3] for left, _ in draws])
    companion = np.stack([right[:3] for _, right in draws])
    assert (item == [10, 20, 30]).all()
    assert (item != companion).all()
    share = (companion[:, 0] == 20).mean()
    assert set(companion[:, 0].tolist()) == {20, 30}
    assert abs(share - 0.5) < 0.1  # five standard errors


def test_pairs_are_all_ordered_pairs() -> None:
    found = companions(count=20)
    left, right = found.pairs(3, 9)
    expected = [
        (a, b)
        for number in range(3, 9)
        for a in found.row[found.basket == number].tolist()
        for b in found.row[found.basket == number].tolist()
        if a != b
    ]
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == sorted(expected)


def test_a_cut_leaves_no_later_purchase_before_it() -> None:
    before, later = purchases().cut(50 * HOUR_MS)
    assert before.time_ms.max() == 49 * HOUR_MS
    assert later.time_ms.min() == 50 * HOUR_MS
    assert len(before) + len(later) == len(purchases())


@pytest.mark.parametrize("filler", [0, 31])
def test_too_few_companions_are_told(filler: int) -> None:
    with pytest.raises(DataError, match=rf"only {filler} of {len(ROWS[-1:]) + filler} purchases .* at least 32"):
        baskets(shop(ROWS[-1:], filler))
