import json
from pathlib import Path

import pytest

from muse_stream.esu_scorer import Artefact
from muse_stream.streams.demo.artefact import feature_spec, write_untrained
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES, OnlineRetail, load
from muse_stream.streams.demo.stage import is_trained
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.ids import id_of


@pytest.fixture(scope="module")
def retail() -> OnlineRetail:
    return load()


def test_the_untrained_artefact_is_the_same_in_every_run_and_says_what_it_is(
    retail: OnlineRetail, tmp_path: Path
) -> None:
    first = Artefact.load(write_untrained(tmp_path / "a", retail), features=feature_spec(), space="v1")
    second = Artefact.load(write_untrained(tmp_path / "b", retail))
    assert first.digest == second.digest
    assert not first.trained
    assert "untrained" in first.version


def test_the_stage_reads_from_the_artefact_whether_it_is_trained(retail: OnlineRetail, tmp_path: Path) -> None:
    path = write_untrained(tmp_path, retail)
    settings = Settings.load(None, {"model.path": tmp_path, "model.active": path.name})
    assert not is_trained(settings)
    manifest = path / "artefact.json"
    manifest.write_text(
        json.dumps({**json.loads(manifest.read_text(encoding="utf-8")), "trained": True}), encoding="utf-8"
    )
    assert is_trained(settings)
    assert not is_trained(Settings())


def test_it_knows_every_id_of_the_data(retail: OnlineRetail, tmp_path: Path) -> None:
    artefact = Artefact.load(write_untrained(tmp_path, retail))
    assert set(artefact.tensors["vocabulary/item"].tolist()) == set(retail.catalogue.item.tolist())
    assert id_of("United Kingdom") in artefact.tensors["vocabulary/country"].tolist()
    assert artefact.tensors["vocabulary/price_band"].tolist() == list(range(1, 11))


def test_its_features_are_those_of_the_demos_settings() -> None:
    spec = feature_spec()
    assert spec.candidate_names == ("item", "category", *ITEM_FEATURES)
    assert spec.user_names == USER_FEATURES
