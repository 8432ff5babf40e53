"""Blocks on and off: what a configuration has, and nothing more."""

from dataclasses import replace
from itertools import product
from typing import Literal, get_args

import msgspec
import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import Artefact, FeatureSpec, MuseConfig, Scorer
from muse_stream.esu_scorer.config import BlocksConfig, NetworkConfig
from muse_stream.esu_scorer.errors import FeatureError
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.network.tower import CLICK
from muse_stream.esu_scorer.scorer import to_rows
from tests.esu_scorer.making import RETAIL, score_batch, vocabularies

Unit = Literal["none", "target_attention", "sa_ta"]
ALL = [
    BlocksConfig(unit=unit, retrieved_mean=mean, retrieved_simtier=far, recent_simtier=near, form=form, tower=(8,))
    for unit in get_args(Unit)
    for form in get_args(Literal["released", "paper"])
    for mean, far, near in product((False, True), repeat=3)
]


def model_of(config: NetworkConfig, spec: FeatureSpec = RETAIL) -> Model:
    model = Model(spec, config, {name: ids.row_count for name, ids in vocabularies(spec).items()})
    model.reset(3)
    return model


def blocks_in(model: Model) -> set[str]:
    return {name.split(".")[1] for name, _ in model.named_parameters() if name.startswith("network.")}


@pytest.mark.parametrize("config", ALL, ids=str)
def test_what_is_off_has_no_parameters_and_what_is_on_learns(config: BlocksConfig) -> None:
    model = model_of(config)
    wanted = {"recent", "tower"} | ({config.unit} - {"none"})
    wanted |= {name for name in ("retrieved_simtier", "recent_simtier") if getattr(config, name)}
    assert blocks_in(model) == wanted
    result = model(to_rows(score_batch(1, (1, 3, 2)), RETAIL, vocabularies()))
    (-torch.log(result.probability[:, CLICK]).mean()).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        dense = parameter.grad.to_dense()
        assert bool(torch.isfinite(dense).all()), name
        assert bool((dense != 0).any()), name


@pytest.mark.parametrize("config", [config for config in ALL if not config.reads_retrieved], ids=str)
def test_without_blocks_over_the_retrieved_they_change_nothing(config: BlocksConfig) -> None:
    batch = score_batch(1, (3, 4))
    rows = to_rows(batch, RETAIL, vocabularies())
    other = to_rows(score_batch(2, (3, 4), retrieved=9), RETAIL, vocabularies())
    changed = {name: getattr(other, name) for name in rows.__slots__ if name.startswith("retrieved")}
    model = model_of(config)
    assert torch.equal(model(rows).probability, model(replace(rows, **changed)).probability)


def test_all_blocks_on_are_muse() -> None:
    plain, blocks = model_of(MuseConfig()), model_of(BlocksConfig())
    assert list(plain.state_dict()) == list(blocks.state_dict())
    rows = to_rows(score_batch(1), RETAIL, vocabularies())
    assert torch.equal(plain(rows).probability, blocks(rows).probability)


def test_plain_attention_is_sa_ta_without_its_cosine_terms() -> None:
    plain, fused = model_of(BlocksConfig(unit="target_attention")), model_of(BlocksConfig())
    weights = {name.replace("target_attention", "sa_ta"): value for name, value in plain.state_dict().items()}
    fused.load_state_dict({**fused.state_dict(), **weights})
    rows = to_rows(score_batch(1), RETAIL, vocabularies())
    with torch.no_grad():
        fused.network.sa_ta.beta.copy_(torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(plain(rows).probability, fused(rows).probability)
    with torch.no_grad():
        fused.network.sa_ta.beta.fill_(1.0)
    assert not torch.allclose(plain(rows).probability, fused(rows).probability)


def test_every_configuration_goes_into_an_artefact_and_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    batch = score_batch(1)
    for config in ALL:
        path = tmp_path_factory.mktemp("artefacts") / "one"
        saved = Artefact.from_model(model_of(config), vocabularies(), space="v1", version="x", trained=False)
        saved.save(path)
        loaded = Artefact.load(path)
        assert loaded.manifest.network == config
        np.testing.assert_array_equal(Scorer(loaded).score(batch), Scorer(saved).score(batch))


def test_the_plain_configuration_is_written_as_before() -> None:
    assert msgspec.json.encode(MuseConfig()) == b'{"name":"muse","form":"released","tower":[256,128,64]}'


def test_a_tower_layer_without_units_is_refused() -> None:
    with pytest.raises(FeatureError, match="at least 1 wide"):
        BlocksConfig(tower=(8, 0))
