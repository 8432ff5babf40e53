from pathlib import Path

from muse_stream.esu_scorer import Artefact
from muse_stream.streams.demo.artefact import feature_spec, write_shipped
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES
from muse_stream.streams.demo.stage import Worth, worth_of
from muse_stream.streams.learning.sources import open_data
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.ids import id_of

BYTES_MAX = 2_000_000
CHANCE = 0.5


def test_the_shipped_artefact_is_small_trained_and_better_than_chance(tmp_path: Path) -> None:
    path = write_shipped(tmp_path)
    artefact = Artefact.load(path, features=feature_spec(), space="v1")
    assert artefact.trained
    assert artefact.manifest.metrics["gauc"] > CHANCE
    assert sum(file.stat().st_size for file in path.iterdir()) < BYTES_MAX


def test_it_was_trained_on_the_training_part_of_the_bundled_purchases(tmp_path: Path) -> None:
    manifest = Artefact.load(write_shipped(tmp_path)).manifest
    source = open_data("online-retail", None, {})
    assert manifest.data.source == source.info.name
    assert manifest.data.samples == source.info.samples["train"]
    first = next(iter(source.blocks("validation")))
    assert manifest.data.last_ms < first.time_ms.min()


def test_it_knows_the_ids_of_the_data(tmp_path: Path) -> None:
    artefact = Artefact.load(write_shipped(tmp_path))
    assert id_of("United Kingdom") in artefact.tensors["vocabulary/country"].tolist()
    assert artefact.tensors["vocabulary/price_band"].tolist() == list(range(1, 11))


def test_the_stage_reads_from_the_artefact_what_it_is_worth(tmp_path: Path) -> None:
    path = write_shipped(tmp_path)
    manifest = Artefact.load(path).manifest
    found = worth_of(Settings.load(None, {"model.path": tmp_path, "model.active": path.name}))
    assert found == Worth(trained=True, samples=manifest.data.samples, gauc=manifest.metrics["gauc"])
    assert worth_of(Settings()) == Worth(trained=False, samples=0, gauc=None)


def test_its_features_are_those_of_the_demos_settings() -> None:
    spec = feature_spec()
    assert spec.candidate_names == ("item", "category", *ITEM_FEATURES)
    assert spec.user_names == USER_FEATURES
