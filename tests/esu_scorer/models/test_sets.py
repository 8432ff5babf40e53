"""Every entry of every set is a model that can be built, retrieved for and trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from muse_stream.esu_scorer.config import blocks_of
from muse_stream.esu_scorer.models import RECIPES, Recipe, Sizes
from muse_stream.esu_scorer.models.sets import SETS, Choices, Entry
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.scorer import to_rows
from muse_stream.esu_scorer.training import assemble

from .world import KNOWN, SPEC, OneBlock, Search, block, vectors

torch.set_num_threads(1)

SIZES = Sizes(k=4, recent=3, length=2_000, tower=(8,))
ITEMS, VECTORS = vectors()
NAMED = {name: [(ITEMS, np.roll(VECTORS, shift, axis=0))] for shift, name in enumerate(("random", "text"), 1)}
ENTRIES = [(name, entry) for name, made in SETS.items() for entry in made(Choices(SIZES, NAMED))]


def losses(recipe: Recipe, steps: int = 60) -> list[float]:
    """Train on one batch, retrieved for anew now and then."""
    samples = block(4, users=6, longest=30, samples=64).last(recipe.length)
    samples.label[:] = samples.item % 2 == 0
    model = Model(SPEC, recipe.network, {name: known.row_count for name, known in KNOWN.items()})
    model.reset(1)
    rule = recipe.rule(OneBlock(samples), Search, KNOWN)
    dense = [p for name, p in model.named_parameters() if not name.startswith("embeddings.")]
    optimisers = [
        torch.optim.AdamW(dense, lr=3e-3),
        torch.optim.SparseAdam(list(model.embeddings.parameters()), lr=2e-2),
    ]
    found = []
    for step in range(steps):
        if step % 20 == 0:
            rule.follow(model)
            batch = assemble(samples, rule.retrieve(samples, recipe.k, recipe.recent))
            rows = to_rows(batch.columns, SPEC, KNOWN)
            label = torch.from_numpy(samples.label[batch.order].astype(np.int64))
        loss = -torch.log(model(rows).probability.gather(1, label[:, None])).mean()
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns(name: str) -> None:
    found = losses(RECIPES[name](SIZES))
    assert found[-1] < 0.75 * found[0]


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=[f"{name}/{entry.recipe.name}" for name, entry in ENTRIES])
def test_every_entry_can_be_built_and_learns(name: str, entry: Entry) -> None:
    found = losses(entry.recipe, steps=5)
    assert np.isfinite(found).all()
    assert found[-1] < found[0]
    assert entry.varies


def test_names_within_a_set_are_distinct_and_muse_is_the_same_in_all() -> None:
    for name, made in SETS.items():
        entries = {entry.recipe.name: entry.recipe for entry in made(Choices(SIZES, NAMED))}
        assert len(entries) == len(made(Choices(SIZES, NAMED))), name
        muse = RECIPES["muse"](SIZES)
        assert replace(entries["muse"], rule=muse.rule) == muse, name


def test_names_of_different_models_are_distinct_over_all_sets() -> None:
    names = {entry.recipe.name for _, entry in ENTRIES}
    assert len(names) == len(ENTRIES) - (len(SETS) - 1)


def test_published_figures_are_those_of_the_paper() -> None:
    published = {
        name: {entry.recipe.name: entry.published.gauc for entry in SETS[name](Choices(SIZES)) if entry.published}
        for name in ("models", "esu")
    }
    assert published["models"] == {
        "din": 0.6082,
        "sim-hard": 0.6139,
        "sim-soft": 0.6135,
        "twin": 0.6098,
        "muse": 0.6154,
    }
    assert published["esu"] == {
        **{f"ta-{form}": 0.6301 for form in ("released", "paper")},
        **{f"sa-ta-{form}": 0.6339 for form in ("released", "paper")},
        "simtier": 0.6345,
        **{f"ta-simtier-{form}": 0.6361 for form in ("released", "paper")},
        "sa-ta-simtier-paper": 0.6377,
        "muse": 0.6377,
    }


def test_what_the_units_of_the_esu_set_are() -> None:
    found = {entry.recipe.name: blocks_of(entry.recipe.network) for entry in SETS["esu"](Choices(SIZES))}
    assert {
        name: (blocks.unit, blocks.retrieved_simtier, blocks.recent_simtier, blocks.form)
        for name, blocks in found.items()
    } == {
        "ta-released": ("target_attention", False, False, "released"),
        "ta-paper": ("target_attention", False, False, "paper"),
        "sa-ta-released": ("sa_ta", False, False, "released"),
        "sa-ta-paper": ("sa_ta", False, False, "paper"),
        "simtier": ("none", True, True, "released"),
        "ta-simtier-released": ("target_attention", True, True, "released"),
        "ta-simtier-paper": ("target_attention", True, True, "paper"),
        "sa-ta-simtier-paper": ("sa_ta", True, True, "paper"),
        "muse": ("sa_ta", True, True, "released"),
    }
    assert all(blocks.retrieved_mean for blocks in found.values())


def test_lengths_and_counts_reach_up_to_muse_itself() -> None:
    length = {entry.recipe.name: entry.recipe.length for entry in SETS["length"](Choices(SIZES))}
    assert length == {
        "length-50": 50,
        "length-100": 100,
        "length-200": 200,
        "length-500": 500,
        "length-1000": 1_000,
    } | {"muse": 2_000}
    counts = {entry.recipe.name: entry.recipe.k for entry in SETS["k"](Choices(Sizes(k=50)))}
    assert counts == {"k-5": 5, "k-10": 10, "k-20": 20, "muse": 50, "k-100": 100, "k-200": 200}
