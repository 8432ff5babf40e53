"""The model that the demo ships: made for the data that the demo publishes."""

import json
from pathlib import Path

import numpy as np
import pytest

from muse_stream.esu_scorer import Artefact
from muse_stream.streams.demo.artefact import feature_spec, write_bundled
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES, VECTOR_SPACE, OnlineRetail, load
from muse_stream.streams.demo.model_card import ModelCard, model_card
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.ids import id_of

SIZE_BYTES_MAX = 2 << 20


@pytest.fixture(scope="module")
def retail() -> OnlineRetail:
    return load()


def test_it_is_trained_and_fits_the_demo(tmp_path: Path) -> None:
    path = write_bundled(tmp_path)
    artefact = Artefact.load(path, features=feature_spec(), space=VECTOR_SPACE)
    assert artefact.trained
    assert 0.5 < artefact.manifest.metrics["gauc"] < 1
    assert sum(file.stat().st_size for file in path.iterdir()) < SIZE_BYTES_MAX


def test_the_card_says_what_the_artefact_says(tmp_path: Path) -> None:
    path = write_bundled(tmp_path)
    settings = Settings.load(None, {"model.path": tmp_path, "model.active": path.name})
    card = model_card(settings)
    assert card.trained
    assert card.source == "Online Retail"
    manifest = path / "artefact.json"
    plain = json.loads(manifest.read_text(encoding="utf-8"))
    assert card.gauc == plain["metrics"]["gauc"]
    manifest.write_text(json.dumps({**plain, "trained": False, "metrics": {}, "data": None}), encoding="utf-8")
    assert model_card(settings) == ModelCard(trained=False)
    assert model_card(Settings()) == ModelCard(trained=False)


def test_its_tables_know_the_ids_that_it_learnt_from(retail: OnlineRetail, tmp_path: Path) -> None:
    artefact = Artefact.load(write_bundled(tmp_path))
    known = artefact.tensors["vocabulary/item"].numpy()
    assert np.isin(known, retail.catalogue.item).all()
    assert len(known) > len(retail.catalogue.item) // 2
    assert id_of("United Kingdom") in artefact.tensors["vocabulary/country"].tolist()


def test_its_features_are_those_of_the_demos_settings() -> None:
    spec = feature_spec()
    assert spec.candidate_names == ("item", "category", *ITEM_FEATURES)
    assert spec.user_names == USER_FEATURES
