"""Each rule against its definition, one sample and one behaviour at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer.config import BlocksConfig
from muse_stream.esu_scorer.data import Block
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.models import RECIPES, metrics, windows
from muse_stream.esu_scorer.models.attention import ByAttention
from muse_stream.esu_scorer.models.metrics import attention_rule, fused_rule, id_cosine_rule
from muse_stream.esu_scorer.models.recipe import MakeRule
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import Retrieved, Rule

from .world import (
    CATEGORIES,
    ITEMS,
    KNOWN,
    OneBlock,
    Search,
    block,
    category_of,
    enumerate_window,
    listed,
    model,
    ranked,
    vectors,
)

torch.set_num_threads(1)

blocks = st.builds(
    block,
    st.integers(0, 2**32),
    users=st.integers(1, 4),
    longest=st.integers(0, 14),
    samples=st.integers(1, 8),
    items=st.sampled_from([2, 6, ITEMS]),
)
counts = st.integers(1, 20)
plain = settings(max_examples=60, deadline=None)


def ruled(make: MakeRule, samples: Block, followed: Model) -> Rule:
    rule = make(OneBlock(samples), Search, KNOWN)
    rule.follow(followed)
    return rule


def rule_of(name: str, samples: Block) -> tuple[Rule, Model]:
    recipe = RECIPES[name]()
    followed = model(recipe.network)
    return ruled(recipe.rule, samples, followed), followed


def x_of(followed: Model, item: int, category: int) -> np.ndarray:
    rows = (KNOWN[name].rows(np.array([value])) for name, value in (("item", item), ("category", category)))
    tables = (followed.embeddings.table(name).weight.detach().double().numpy() for name in ("item", "category"))
    x: np.ndarray = np.concatenate([table[row[0]] for table, row in zip(tables, rows, strict=True)])
    return x


def attention_score(followed: Model, item: int, candidate: int) -> float:
    """The unit's own q . k, in float64."""
    unit = followed.network.attention
    assert unit is not None

    def projected(layer: torch.nn.Linear, one: int) -> np.ndarray:
        weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        z = weight @ x_of(followed, one, int(category_of(np.array(one)))) + bias
        activated: np.ndarray = z / (1 + np.exp(-z)) if unit.released else z
        return activated

    return float(np.float32(projected(unit.query, candidate) @ projected(unit.key, item)))


def wanted(samples: Block, k: int, scores: list[dict[int, float]]) -> list[list[int]]:
    return [ranked(each)[:k] for each in scores]


@given(blocks, counts)
@plain
def test_din_retrieves_nothing(samples: Block, k: int) -> None:
    rule, _ = rule_of("din", samples)
    found = rule.retrieve(samples, k, 3)
    assert listed(found) == [[] for _ in range(len(samples))]
    assert not found.recent_present.any()
    assert RECIPES["din"]().k == 0


@given(blocks, counts)
@plain
def test_sim_hard_takes_the_newest_of_the_category(samples: Block, k: int) -> None:
    rule, _ = rule_of("sim-hard", samples)
    truth = [
        {place: 0.0 for place, item in enumerate_window(samples, row) if item % CATEGORIES == category and category}
        for row, category in enumerate(samples.category.tolist())
    ]
    assert listed(rule.retrieve(samples, k, 0)) == wanted(samples, k, truth)
    assert listed(rule.retrieve(samples, k, 0)) == wanted(samples, k, truth), "again, from the same index"


@given(blocks, counts)
@plain
def test_sim_soft_is_cosine_on_the_tables(samples: Block, k: int) -> None:
    rule, followed = rule_of("sim-soft", samples)
    seen = set(samples.item.tolist()) | set(samples.histories.behaviours.item.tolist())
    known = seen & set(KNOWN["item"].ids.tolist())

    def cosine(one: int, other: int) -> float:
        a, b = (x_of(followed, item, item % CATEGORIES) for item in (one, other))
        return round(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), 5)

    truth = [
        {place: cosine(item, target) for place, item in enumerate_window(samples, row) if {item, target} <= known}
        for row, target in enumerate(samples.item.tolist())
    ]
    found = rule.retrieve(samples, k, 0)
    assert listed(found) == wanted(samples, k, truth)


@given(blocks, counts, st.sampled_from(["released", "paper"]))
@plain
def test_twin_takes_the_highest_of_the_units_own_scores(samples: Block, k: int, form: str) -> None:
    followed = model(BlocksConfig(unit="target_attention", form="paper" if form == "paper" else "released", tower=(8,)))
    rule = ruled(RECIPES["twin"]().rule, samples, followed)
    truth = [
        {place: attention_score(followed, item, target) for place, item in enumerate_window(samples, row)}
        for row, target in enumerate(samples.item.tolist())
    ]
    check_near(samples, rule.retrieve(samples, k, 0), truth, k)


def check_near(samples: Block, found: Retrieved, truth: list[dict[int, float]], k: int, by: float = 1e-5) -> None:
    """The truth's best scores, up to rounding; of an item's repeats, which tie exactly, the newest, newest first."""
    for row, (places, scores) in enumerate(zip(listed(found), truth, strict=True)):
        best = ranked(scores)[:k]
        items = dict(enumerate_window(samples, row))
        assert len(places) == len(best)
        np.testing.assert_allclose([scores[place] for place in places], [scores[place] for place in best], by, by)
        for item in {items[place] for place in places}:
            chosen = [place for place in places if items[place] == item]
            repeats = [place for place in sorted(scores, reverse=True) if items[place] == item]
            assert chosen == repeats[: len(chosen)]


@given(blocks, counts, st.integers(1, 40))
@plain
def test_a_window_at_a_time_gives_what_all_at_once_give(samples: Block, k: int, at_once: int) -> None:
    rule, _ = rule_of("twin", samples)
    whole = rule.retrieve(samples, k, 0).places
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SCORES_AT_ONCE", at_once)
        patch.setattr("muse_stream.esu_scorer.models.attention.FLOATS_AT_ONCE", at_once)
        assert np.array_equal(rule.retrieve(samples, k, 0).places, whole)
    alone = [rule.retrieve(samples.take([row]), k, 0).places[0] for row in range(len(samples))]
    assert np.array_equal(np.stack(alone), whole)


@given(blocks, counts, st.integers(0, 6))
@plain
def test_learned_attention_has_the_cosines_of_the_vectors(samples: Block, k: int, recent: int) -> None:
    followed = model()
    found = ruled(attention_rule, samples, followed).retrieve(samples, k, recent)
    truth = [
        {place: attention_score(followed, item, target) for place, item in enumerate_window(samples, row)}
        for row, target in enumerate(samples.item.tolist())
    ]
    check_near(samples, found, truth, k)
    check_cosines(samples, found, recent)


def check_cosines(samples: Block, found: Retrieved, recent: int) -> None:
    search = Search([vectors()])
    plainly = search.retrieve(samples, 1, recent)
    assert np.array_equal(found.recent_cosine, plainly.recent_cosine)
    assert np.array_equal(found.recent_present, plainly.recent_present)
    for row, places in enumerate(found.places.tolist()):
        items = dict(enumerate_window(samples, row))
        cosines = [search.cosine(items[place], int(samples.item[row])) if place >= 0 else None for place in places]
        assert found.cosine[row].tolist() == [value or 0.0 for value in cosines]


@given(blocks, counts, st.integers(0, 6))
@plain
def test_cosine_and_id_cosine_are_added(samples: Block, k: int, recent: int) -> None:
    followed = model()
    found = ruled(id_cosine_rule, samples, followed).retrieve(samples, k, recent)
    search = Search([vectors()])
    seen = set(samples.item.tolist()) | set(samples.histories.behaviours.item.tolist())

    def total(one: int, other: int) -> float | None:
        a, b = (x_of(followed, item, item % CATEGORIES if item in seen else 0) for item in (one, other))
        cosine = search.cosine(one, other)
        return None if cosine is None else cosine + float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    truth = [
        {place: score for place, item in enumerate_window(samples, row) if (score := total(item, target)) is not None}
        for row, target in enumerate(samples.item.tolist())
    ]
    check_near(samples, found, truth, k)
    check_cosines(samples, found, recent)


@given(blocks, counts, st.integers(1, 5))
@plain
def test_fused_adds_standardised_scores(samples: Block, k: int, at_once: int) -> None:
    followed = model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "COSINES_AT_ONCE", at_once)
        found = ruled(fused_rule, samples, followed).retrieve(samples, k, 4)
    search = Search([vectors()])

    def z(values: list[float | None]) -> list[float]:
        known = np.array([value for value in values if value is not None])
        if len(set(known.tolist())) <= 1:
            return [0.0 for _ in values]
        return [0.0 if value is None else float((value - known.mean()) / known.std()) for value in values]

    truth = []
    for row, target in enumerate(samples.item.tolist()):
        pairs = enumerate_window(samples, row)
        attention = z([attention_score(followed, item, target) for _, item in pairs])
        cosine = z([search.cosine(item, target) for _, item in pairs])
        truth.append({place: a + c for (place, _), a, c in zip(pairs, attention, cosine, strict=True)})
    check_near(samples, found, truth, k, by=1e-4)
    check_cosines(samples, found, 4)


@given(
    st.lists(st.lists(st.sampled_from([-0.0, 0.0, -1.5, 2.0, 3e38, -3e38, 1e-45]), min_size=5, max_size=5), min_size=1),
    counts,
)
@plain
def test_the_highest_are_exact_and_the_first_of_equal_ones_wins(rows: list[list[float]], k: int) -> None:
    scores = torch.tensor(rows, dtype=torch.float32).reshape(len(rows), 5)
    present = torch.tensor([[bool((i + j) % 3) for j in range(5)] for i in range(len(rows))]).reshape(len(rows), 5)
    found = windows.highest(scores, present, k)
    for i, row in enumerate(scores.tolist()):
        best = sorted((j for j in range(5) if present[i, j]), key=lambda j: (-row[j], j))[:k]
        assert found[i].tolist() == best + [-1] * (min(k, 5) - len(best))


def test_a_rule_keeps_the_weights_that_it_followed() -> None:
    samples = block(3, longest=40, samples=20)
    for name in ("sim-soft", "twin"):
        rule, followed = rule_of(name, samples)
        before = rule.retrieve(samples, 5, 0).places
        with torch.no_grad():
            for parameter in followed.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
        assert np.array_equal(rule.retrieve(samples, 5, 0).places, before), name
        rule.follow(followed)
        assert not np.array_equal(rule.retrieve(samples, 5, 0).places, before), name


def test_retrieval_by_attention_wants_a_network_with_attention() -> None:
    with pytest.raises(TrainingError, match="a unit other than 'none'"):
        ByAttention(KNOWN).follow(model(BlocksConfig(unit="none")))
