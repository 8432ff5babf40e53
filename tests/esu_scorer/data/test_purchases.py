from typing import Any

import numpy as np
import pytest

from muse_stream.esu_scorer.data.events import Events
from muse_stream.esu_scorer.data.purchases import CAVEAT, Purchases, with_negatives
from muse_stream.esu_scorer.errors import DataError

BOUGHT, RETURNED = 4, 5


def shop(seed: int = 1, lines: int = 3000, users: int = 40, items: int = 30) -> dict[str, Any]:
    """A log in order of time: invoices of one to four lines of one user, an item ten times as popular as another."""
    rng = np.random.default_rng(seed)
    invoice = np.repeat(np.arange(lines), rng.integers(1, 5, lines))[:lines]
    weight = 1.0 / np.arange(1, items + 1)
    item = rng.choice(np.arange(1, items + 1), lines, p=weight / weight.sum())
    return {
        "user": rng.integers(1, users + 1, lines)[invoice],
        "item": item,
        "category": item % 5 + 1,
        "action": np.where(rng.random(lines) < 0.05, RETURNED, BOUGHT),
        "time_ms": 1000 + 10 * invoice,
    }


def labelled(columns: dict[str, Any]) -> Events:
    return Events.of(columns | {"label": np.where(columns["action"] == BOUGHT, 1, -1)})


def drawn(columns: dict[str, Any], count: int = 4, smoothing: float = 1.0, seed: int = 1) -> Events:
    return with_negatives(labelled(columns), count=count, smoothing=smoothing, rng=np.random.default_rng(seed))


def test_every_purchase_but_the_first_ones_has_its_negatives() -> None:
    columns = shop()
    events = drawn(columns)
    positives = np.flatnonzero(events.label == 1)
    bought = columns["action"] == BOUGHT
    at_once = int((columns["time_ms"][bought] == columns["time_ms"][bought][0]).sum())
    assert len(positives) == bought.sum() - at_once  # nothing was known before the first moment
    for row in positives.tolist():
        around = slice(row, row + 5)
        assert events.label[around].tolist() == [1, 0, 0, 0, 0]
        assert len(set(events.user[around].tolist())) == len(set(events.time_ms[around].tolist())) == 1
    assert (events.label == 0).sum() == 4 * len(positives)
    assert (events.label == -1).sum() == (~bought).sum() + at_once


def test_a_negative_is_never_bought_at_the_same_moment_and_was_bought_before() -> None:
    columns = shop()
    events = drawn(columns)
    bought = columns["action"] == BOUGHT
    baskets = set(zip(columns["user"][bought], columns["time_ms"][bought], columns["item"][bought], strict=True))
    first = {int(item): columns["time_ms"][bought & (columns["item"] == item)][0] for item in set(columns["item"])}
    negatives = np.flatnonzero(events.label == 0)
    assert len(negatives) > 5000
    for row in negatives.tolist():
        user, item, time_ms = (int(column[row]) for column in (events.user, events.item, events.time_ms))
        assert (user, time_ms, item) not in baskets
        assert first[item] < time_ms


def test_negatives_follow_popularity_before_the_moment() -> None:
    """One late purchase of item 99 after 60 purchases of item 1 and 20 of item 2: 61 to 21 with a smoothing of 1."""
    items = [1] * 60 + [2] * 20 + [99] + [3] * 5
    count = len(items)
    columns = {
        "user": np.arange(1, count + 1),
        "item": items,
        "time_ms": np.r_[np.arange(1, 81), 100, np.arange(200, 205)],
        "action": np.full(count, BOUGHT),
    }
    events = drawn(columns, count=20_000)
    late = (events.label == 0) & (events.time_ms == 100)
    share = float((events.item[late] == 1).mean())
    assert late.sum() == 20_000
    assert set(events.item[late].tolist()) == {1, 2}
    assert share == pytest.approx(61 / 82, abs=0.015)
    flat = drawn(columns, count=20_000, smoothing=1e6)
    assert float((flat.item[(flat.label == 0) & (flat.time_ms == 100)] == 1).mean()) == pytest.approx(0.5, abs=0.015)


def test_a_purchase_without_possible_negatives_is_a_behaviour_only() -> None:
    columns = {"user": [1, 2, 2], "item": [7, 7, 8], "time_ms": [1, 2, 3], "action": np.full(3, BOUGHT)}
    events = drawn(columns, count=2)
    assert events.label.tolist() == [-1, -1, 1, 0, 0]  # at time 2 only item 7 was known, and it is the one bought
    assert events.item.tolist() == [7, 7, 8, 7, 7]


def test_the_seed_decides_the_draws() -> None:
    columns = shop(lines=300)
    assert np.array_equal(drawn(columns, seed=2).item, drawn(columns, seed=2).item)
    assert not np.array_equal(drawn(columns, seed=2).item, drawn(columns, seed=3).item)


def test_the_source_has_features_of_the_item_and_the_caveat() -> None:
    columns = shop()
    price, country = columns["item"] * 10, columns["user"] % 3 + 1
    source = Purchases(
        "shop",
        columns,
        bought=[BOUGHT],
        item_features={"price": price},
        user_features={"country": country},
        negatives=2,
    )
    assert source.info.caveat == CAVEAT
    assert source.info.spec.candidate_names == ("item", "category", "price")
    assert source.info.spec.user_names == ("user", "country")
    blocks = list(source.blocks("train", seed=1))
    assert sum(len(block) for block in blocks) == source.info.samples["train"]
    for block in blocks:
        assert np.array_equal(block.candidate_features[:, 1], block.item % 5 + 1)
        assert np.array_equal(block.candidate_features[:, 2], block.item * 10)
        assert np.array_equal(block.user_features[:, 1], block.user % 3 + 1)
    assert np.mean(np.concatenate([block.label for block in blocks])) == pytest.approx(1 / 3, abs=0.01)
    assert RETURNED in blocks[0].histories.behaviours.action


def test_no_window_holds_a_negative() -> None:
    columns = shop()
    source = Purchases("shop", columns, bought=[BOUGHT])
    [behaviours] = {
        id(block.histories.behaviours): block.histories.behaviours for block in source.blocks("test")
    }.values()
    assert len(behaviours) == len(columns["user"])


def test_bad_columns_are_refused() -> None:
    columns = shop(lines=50)
    with pytest.raises(DataError, match="shop: column 'time_ms' is missing"):
        Purchases("shop", {name: values for name, values in columns.items() if name != "time_ms"}, bought=[BOUGHT])
    with pytest.raises(DataError, match="shop: column 'action' is missing"):
        Purchases("shop", {name: values for name, values in columns.items() if name != "action"}, bought=[BOUGHT])
    with pytest.raises(DataError, match="shop item features: column 'price' has 1 rows, the ids have 50"):
        Purchases("shop", columns, bought=[BOUGHT], item_features={"price": [1]})
    with pytest.raises(DataError, match="no event has a label"):
        Purchases("shop", columns, bought=[9])
