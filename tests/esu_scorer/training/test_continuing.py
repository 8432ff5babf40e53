from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import Artefact, MuseConfig
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.training import train
from muse_stream.esu_scorer.training.continuing import check_parent, first_model, joined
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup, Vocabulary

from .test_run import silent, trained
from .world import RECIPE, SMALL, SPEC, SmallSource, make


def lookups(**ids: list[int]) -> dict[str, Lookup]:
    return {feature.name: Vocabulary.of(ids.get(feature.name, [1])) for feature in SPEC.features}


def test_going_on_keeps_weights_and_rows_and_names_the_parent(tmp_path: Path) -> None:
    parent = trained(tmp_path / "a")
    config = msgspec.structs.replace(SMALL, dense_rate=1e-12, table_rate=1e-12)
    result = train(SmallSource(), RECIPE, make, config, tmp_path / "b", told=silent, parent=parent)
    child = Artefact.load(result.artefact)
    assert child.manifest.parent == parent.digest
    for name, tensor in parent.tensors.items():
        torch.testing.assert_close(child.tensors[name], tensor, msg=name)


def test_another_parent_is_another_run(tmp_path: Path) -> None:
    parent = trained(tmp_path / "a")
    train(SmallSource(), RECIPE, make, SMALL, tmp_path / "b", told=silent, parent=parent)
    with pytest.raises(TrainingError, match=f"parent is '{parent.digest}' there, None now"):
        trained(tmp_path / "b")


def test_new_ids_get_rows_of_their_own_and_old_ones_keep_theirs() -> None:
    parent = Artefact.untrained(SPEC, {"item": [2, 4], "country": [9]}, seed=5, space="v1", network=RECIPE.network)
    both = joined(parent, lookups(item=[1, 3, 4]), SMALL)
    assert isinstance(both["item"], Vocabulary)
    assert both["item"].ids.tolist() == [1, 2, 3, 4]
    model = first_model(SPEC, RECIPE.network, both, 1, parent)
    old, new = parent.model(), model.embeddings.table("item").weight
    assert torch.equal(new[[0, 2, 4]], old.embeddings.table("item").weight)
    drawn = first_model(SPEC, RECIPE.network, both, 1, None)
    assert torch.equal(new[[1, 3]], drawn.embeddings.table("item").weight[[1, 3]])
    assert torch.equal(model.network.state_dict()["sa_ta.beta"], old.network.state_dict()["sa_ta.beta"])


def test_a_hashed_feature_stays_hashed_with_as_many_buckets(tmp_path: Path) -> None:
    config = msgspec.structs.replace(SMALL, rows_max=20)
    parent = trained(tmp_path / "a", config)
    assert parent.vocabulary("item") == HashedVocabulary(19)
    result = train(SmallSource(), RECIPE, make, SMALL, tmp_path / "b", told=silent, parent=parent)
    assert Artefact.load(result.artefact).vocabulary("item") == HashedVocabulary(19)


def test_a_table_that_would_grow_too_large_is_refused() -> None:
    parent = Artefact.untrained(SPEC, {"item": np.arange(1, 15)}, seed=5, space="v1")
    config = msgspec.structs.replace(SMALL, rows_max=20)
    with pytest.raises(TrainingError, match=r"feature 'item': .*\(14\).*rows_max = 20"):
        joined(parent, lookups(item=list(range(10, 30))), config)


def test_a_parent_of_other_features_or_another_network_is_refused() -> None:
    parent = Artefact.untrained(SPEC, {}, seed=5, space="v1")
    with pytest.raises(TrainingError, match="has network"):
        check_parent(parent, SPEC, MuseConfig(form="paper"))
    with pytest.raises(TrainingError, match="has features"):
        check_parent(parent, FeatureSpec.taobao_mm(), MuseConfig())
