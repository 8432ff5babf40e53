import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import Artefact, FeatureSpec, MuseConfig, Scorer, Vocabulary
from muse_stream.esu_scorer.errors import (
    ArtefactCorruptError,
    ArtefactExistsError,
    ArtefactFormatError,
    ArtefactMismatchError,
    FeatureError,
    VocabularyError,
)
from muse_stream.esu_scorer.manifest import DataSpan, digest_of, plain_form
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup

from .making import RETAIL, artefact, score_batch, vocabularies


def test_a_round_trip_keeps_digest_scores_and_manifest(tmp_path: Path) -> None:
    saved = artefact(config=MuseConfig(form="paper", tower=(16,)))
    saved.save(tmp_path / "models" / "one")
    loaded = Artefact.load(tmp_path / "models" / "one", features=RETAIL, space="v1")
    assert loaded.digest == saved.digest
    assert loaded.manifest == saved.manifest
    batch = score_batch(1)
    assert Scorer(loaded).score(batch).tolist() == Scorer(saved).score(batch).tolist()
    loaded.save(tmp_path / "models" / "two")
    for name in ("artefact.json", "tensors.safetensors"):
        one, two = tmp_path / "models" / "one" / name, tmp_path / "models" / "two" / name
        assert one.read_bytes() == two.read_bytes()


def test_only_the_two_files_are_left_behind(tmp_path: Path) -> None:
    artefact().save(tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["artefact.json", "tensors.safetensors"]
    assert stat.S_IMODE(os.stat(tmp_path / "one").st_mode) == 0o755


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first = artefact(1)
    first.save(tmp_path / "one")
    with pytest.raises(ArtefactExistsError, match="never overwritten"):
        artefact(2).save(tmp_path / "one")
    assert Artefact.load(tmp_path / "one").digest == first.digest
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_of_many_savers_one_wins_whole(tmp_path: Path) -> None:
    rivals = [artefact(seed) for seed in range(4)]

    def attempt(rival: Artefact) -> bool:
        try:
            rival.save(tmp_path / "one")
        except ArtefactExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(attempt, rivals))
    assert won.count(True) == 1
    assert Artefact.load(tmp_path / "one").digest == rivals[won.index(True)].digest
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_the_digest_covers_weights_vocabulary_and_configuration() -> None:
    def untrained(seed: int = 1, space: str = "v1", version: str = "a", item: tuple[int, ...] = (1, 2)) -> str:
        return Artefact.untrained(RETAIL, {"item": item}, seed=seed, space=space, version=version).digest

    digests = [untrained(), untrained(seed=2), untrained(space="v2"), untrained(version="b"), untrained(item=(1, 3))]
    assert len(set(digests)) == len(digests)
    assert untrained() == digests[0]
    assert len(digests[0]) == 64


def test_an_untrained_artefact_says_so() -> None:
    made = Artefact.untrained(FeatureSpec.taobao_mm(), {}, seed=12, space="v1")
    assert (made.version, made.trained, made.space) == ("untrained-12", False, "v1")
    assert made.spec == FeatureSpec.taobao_mm()
    assert made.vocabulary("item").row_count == 1


def test_vocabularies_of_other_features_are_refused() -> None:
    with pytest.raises(VocabularyError, match=r"vocabularies for \['colour'\]"):
        Artefact.untrained(RETAIL, {"colour": [1]}, seed=1, space="v1")


def test_another_feature_list_or_space_is_told_by_name(tmp_path: Path) -> None:
    artefact().save(tmp_path / "one")
    with pytest.raises(ArtefactMismatchError, match=r"price_band:8.*asked for.*213:16"):
        Artefact.load(tmp_path / "one", features=FeatureSpec.taobao_mm())
    with pytest.raises(ArtefactMismatchError, match="vector space 'v1', asked for 'v2'"):
        Artefact.load(tmp_path / "one", space="v2")


def test_a_model_that_is_not_finite_is_not_frozen() -> None:
    known = vocabularies()
    model = Model(RETAIL, MuseConfig(), {name: ids.row_count for name, ids in known.items()})
    model.reset(1)
    with torch.no_grad():
        model.network.sa_ta.tau.fill_(torch.nan)
    with pytest.raises(ArtefactCorruptError, match=r"network\.sa_ta\.tau has 1 values that are not finite"):
        Artefact.from_model(model, known, space="v1", version="a", trained=True)


def test_training_on_does_not_change_what_was_frozen() -> None:
    known = vocabularies()
    model = Model(RETAIL, MuseConfig(), {name: ids.row_count for name, ids in known.items()})
    model.reset(1)
    frozen = Artefact.from_model(model, known, space="v1", version="a", trained=True)
    before = frozen.tensors["weight/network.sa_ta.beta"].clone()
    with torch.no_grad():
        model.network.sa_ta.beta.add_(1.0)
    assert frozen.tensors["weight/network.sa_ta.beta"].equal(before)


def test_a_table_that_does_not_fit_its_vocabulary_is_not_frozen() -> None:
    known = vocabularies()
    model = Model(RETAIL, MuseConfig(), {name: ids.row_count for name, ids in known.items()})
    model.reset(1)
    known["country"] = Vocabulary.of(np.arange(1, 5))
    with pytest.raises(ArtefactCorruptError, match=r"of_country.weight as float32 \[5, 8\], found float32 \[41, 8\]"):
        Artefact.from_model(model, known, space="v1", version="a", trained=True)


def test_metrics_must_be_finite_and_are_kept(tmp_path: Path) -> None:
    source = artefact()
    known = vocabularies()
    made = Artefact.from_model(
        source.model(), known, space="v1", version="a", trained=True, k=20, r=10, metrics={"gauc": 0.625, "rows": 3}
    )
    made.save(tmp_path / "a")
    loaded = Artefact.load(tmp_path / "a").manifest
    assert loaded.metrics == {"gauc": 0.625, "rows": 3}
    assert (loaded.k, loaded.r, loaded.trained) == (20, 10, True)
    with pytest.raises(ArtefactFormatError, match="metric 'gauc' is nan"):
        Artefact.from_model(source.model(), known, space="v1", version="b", trained=True, metrics={"gauc": np.nan})


def test_a_tower_without_units_is_refused() -> None:
    with pytest.raises(FeatureError, match="at least 1 wide"):
        MuseConfig(tower=(8, 0))


def test_the_manifest_is_readable(tmp_path: Path) -> None:
    made = artefact()
    made.save(tmp_path / "one")
    plain = json.loads((tmp_path / "one" / "artefact.json").read_text())
    assert plain["format"] == "muse-esu"
    assert plain["features"]["user"][0] == {"name": "country", "width": 8}
    assert plain["network"] == {"name": "muse", "form": "released", "tower": [256, 128, 64]}
    assert plain["tensors"]["vocabulary/item"] == {"dtype": "int64", "shape": [40]}
    assert plain["digest"] == made.digest


def hashed() -> Artefact:
    known: dict[str, Lookup] = {**vocabularies(), "item": HashedVocabulary(30)}
    model = Model(RETAIL, MuseConfig(), {name: ids.row_count for name, ids in known.items()})
    model.reset(1)
    return Artefact.from_model(model, known, space="v1", version="hashed", trained=True)


def test_a_hashed_vocabulary_is_kept_and_serves_ids_never_seen(tmp_path: Path) -> None:
    saved = hashed()
    saved.save(tmp_path / "one")
    loaded = Artefact.load(tmp_path / "one")
    assert loaded.digest == saved.digest
    assert loaded.vocabulary("item") == HashedVocabulary(30)
    assert loaded.vocabulary("category").row_count == 41
    batch = score_batch(1)
    assert Scorer(loaded).score(batch).tolist() == Scorer(saved).score(batch).tolist()


def test_what_it_was_trained_on_and_from_is_kept_and_digested(tmp_path: Path) -> None:
    span = DataSpan(source="planted", samples=10, first_ms=5, last_ms=9)
    source, known = artefact(), vocabularies()

    def made(**more: Any) -> Artefact:
        return Artefact.from_model(source.model(), known, space="v1", version="a", trained=True, **more)

    child = made(data=span, parent=source.digest)
    child.save(tmp_path / "a")
    manifest = Artefact.load(tmp_path / "a").manifest
    assert (manifest.data, manifest.parent) == (span, source.digest)
    assert len({made().digest, made(data=span).digest, child.digest}) == 3
    assert made().manifest.vocabulary_digest == source.manifest.vocabulary_digest
    assert hashed().manifest.vocabulary_digest != source.manifest.vocabulary_digest


def test_an_artefact_of_an_earlier_release_loads_and_keeps_its_digest_when_saved_again(tmp_path: Path) -> None:
    new = artefact()
    plain = {name: value for name, value in plain_form(new.manifest).items() if name != "vocabulary_digest"}
    plain["digest"] = digest_of(plain, new.tensors)
    new.save(tmp_path / "old")
    (tmp_path / "old" / "artefact.json").write_text(json.dumps(plain), encoding="utf-8")
    old = Artefact.load(tmp_path / "old")
    assert old.digest == plain["digest"] != new.digest
    old.save(tmp_path / "again")
    assert Artefact.load(tmp_path / "again").digest == old.digest
