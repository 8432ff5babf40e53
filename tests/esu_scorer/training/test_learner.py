from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.optim import AdamW, SparseAdam

from muse_stream.esu_scorer import Vocabulary
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.network import Forward, Model
from muse_stream.esu_scorer.network.tower import PROBABILITY_FLOOR
from muse_stream.esu_scorer.training import Progress, train
from muse_stream.esu_scorer.training.compact import compact
from muse_stream.esu_scorer.training.learner import Learner, Running, cross_entropy, weight_name
from muse_stream.esu_scorer.training.reading import Batch, View, batches

from .world import CATEGORIES, ITEMS, RECIPE, SMALL, SPEC, SmallSource, make


def prepared(size: int = 100) -> tuple[Model, list[Batch]]:
    counts = {"item": ITEMS, "category": CATEGORIES, "band": 3, "country": 2}
    lookups = {name: Vocabulary.of(np.arange(1, count + 1)) for name, count in counts.items()}
    view = View(SPEC, lookups, make(SmallSource().vectors()), 5, 4, 30)
    model = Model(SPEC, RECIPE.network, {name: lookup.row_count for name, lookup in lookups.items()})
    model.reset(1)
    return model, list(batches(SmallSource().blocks("train"), view, size, part="train"))


def test_the_loss_is_cross_entropy_on_the_clipped_probability() -> None:
    probability = torch.tensor([[0.25, 0.75], [1.0, PROBABILITY_FLOOR]])
    wanted = -(np.log(0.75) + np.log(PROBABILITY_FLOOR)) / 2
    assert cross_entropy(probability, torch.tensor([1, 1])).item() == pytest.approx(wanted, rel=1e-6)
    assert cross_entropy(probability, torch.tensor([0, 0])).item() == pytest.approx(-np.log(0.25) / 2, rel=1e-6)


def test_steps_equal_torchs_own_over_whole_tables() -> None:
    model, found = prepared()
    plain, _ = prepared()
    plain.train()
    learner = Learner(model, SMALL)
    named = dict(plain.named_parameters())
    tables = [parameter for name, parameter in named.items() if name.startswith("embeddings.")]
    dense = [parameter for name, parameter in named.items() if not name.startswith("embeddings.")]
    optimisers = (AdamW(dense, lr=SMALL.dense_rate, weight_decay=0.01), SparseAdam(tables, lr=SMALL.table_rate))
    for batch in found:
        loss, scores = learner.learn(batch, compact(batch.rows, SPEC))
        result: Forward = plain(batch.rows)
        wanted = cross_entropy(result.probability, batch.label)
        np.testing.assert_allclose(scores, result.probability[:, 1].detach(), atol=1e-5)
        assert loss == pytest.approx(wanted.item(), abs=1e-5)
        plain.zero_grad()
        wanted.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, plain.state_dict()[name], atol=1e-4, rtol=1e-3, msg=name)


def test_rows_that_are_not_in_a_batch_do_not_move() -> None:
    model, found = prepared(50)
    before = model.embeddings.table("item").weight.detach().clone()
    narrow = compact(found[0].rows, SPEC)
    Learner(model, SMALL).learn(found[0], narrow)
    moved = (model.embeddings.table("item").weight.detach() != before).any(dim=1).nonzero()[:, 0]
    assert set(moved.tolist()) <= set(narrow.distinct["item"].tolist())
    assert len(moved) > 5


def test_a_compact_batch_is_the_same_batch() -> None:
    _, found = prepared(50)
    rows = found[0].rows
    narrow = compact(rows, SPEC)
    item, category = narrow.distinct["item"], narrow.distinct["category"]
    assert torch.equal(item[narrow.rows.retrieved_item], rows.retrieved_item)
    assert torch.equal(item[narrow.rows.recent_item], rows.recent_item)
    assert torch.equal(category[narrow.rows.recent_category], rows.recent_category)
    for column, name in enumerate(SPEC.candidate_names):
        taken = narrow.distinct[name][narrow.rows.candidate_features[:, column]]
        assert torch.equal(taken, rows.candidate_features[:, column]), name
    assert torch.equal(narrow.distinct["country"][narrow.rows.user_features[:, 0]], rows.user_features[:, 0])


def test_tables_have_the_names_that_steps_use() -> None:
    model, _ = prepared()
    assert {weight_name(feature.name) for feature in SPEC.features} == {
        name for name in model.state_dict() if name.startswith("embeddings.")
    }


def test_the_running_gauc_is_of_the_newest_batches_and_the_loss_since_the_last_report() -> None:
    _, found = prepared(200)
    running = Running()
    running.add(found[0], 1.0, found[0].label.numpy().astype(np.float32))
    running.add(found[1], 2.0, found[1].label.numpy().astype(np.float32))
    assert running.report() == (1.5, 1.0)
    running.add(found[0], 5.0, 1 - found[0].label.numpy().astype(np.float32))
    loss, gauc = running.report()
    assert loss == 5.0
    assert gauc is not None
    assert 0 < gauc < 1


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(tmp_path: Path) -> None:
    config = msgspec.structs.replace(SMALL, dense_rate=1e30)
    told: list[Progress] = []
    with pytest.raises(TrainingError, match=r"the loss of batch (\d) .*failed-batch-\d{9}\.safetensors") as caught:
        train(SmallSource(), RECIPE, make, config, tmp_path / "a", told=told.append)
    done = [progress.done for progress in told if progress.stage == "training"]
    (file,) = (tmp_path / "a").glob("failed-batch-*")
    assert file.name in str(caught.value)
    assert f"samples {done[-1]}..{done[-1] + 49} of epoch 0" in str(caught.value)
    kept = load_file(file)
    assert kept["label"].shape == (50,)
    assert kept["retrieved_item"].shape == (50, 5)
    assert {"bounds", "owners", "user", "recent_cosine", "candidate_features"} <= kept.keys()
    assert not (tmp_path / "a" / "artefact").exists()
