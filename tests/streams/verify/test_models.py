"""Models by digest: in directories, among their children, in a model store; never under another digest."""

import logging
from pathlib import Path

import numpy as np
import pytest

from muse_stream.esu_scorer import Scorer
from muse_stream.streams.verify import models
from muse_stream.streams.verify.models import Shelf, Sources, step_gaps
from muse_stream.streams.verify.world import shelf_of
from muse_stream.streams.worker.model import warm_up_batch
from tests.streams.export.logs import settings_of
from tests.streams.verify.served import model


def test_an_artefact_is_found_itself_and_among_children(tmp_path: Path) -> None:
    one, other = model(1), model(2)
    one.save(tmp_path / "all" / "one")
    other.save(tmp_path / "other")
    shelf = Shelf(Sources([tmp_path / "all", tmp_path / "other", tmp_path / "missing"]))
    for artefact in (one, other):
        found = shelf(artefact.digest)
        assert found is not None
        assert found.info.digest == artefact.digest
    assert shelf("0" * 64) is None


def test_one_that_comes_later_is_found_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, late = Shelf(Sources([tmp_path])), model(3)
    assert shelf(late.digest) is None
    late.save(tmp_path / "late")
    assert shelf(late.digest) is None, "not looked for at every answer"
    monkeypatch.setattr(models, "AGAIN_SECONDS", -1.0)
    assert shelf(late.digest) is not None


def test_a_changed_weight_under_an_old_digest_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artefact = model(1)
    artefact.save(tmp_path / "one")
    tensors = tmp_path / "one" / "tensors.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert Shelf(Sources([tmp_path]))(artefact.digest) is None
    assert "cannot be used" in caplog.text


def test_the_model_store_of_the_settings_is_looked_into(tmp_path: Path) -> None:
    stored, active = model(4), model(5)
    stored.save(tmp_path / "store" / "stored")
    active.save(tmp_path / "active")
    settings = settings_of(
        **{"model.path": str(tmp_path / "active"), "model.store": str(tmp_path / "store")},
        **{"state.directory": str(tmp_path / "state")},
    )
    shelf = shelf_of(settings, ())
    assert shelf(stored.digest) is not None
    assert shelf(active.digest) is not None
    assert shelf_of(settings, [tmp_path / "active"])(stored.digest) is None


def test_the_untrained_model_is_there_where_none_is_named() -> None:
    settings = settings_of()
    shelf = shelf_of(settings, ())
    (digest,) = shelf._loaded
    found = shelf(digest)
    assert found is not None
    assert not found.info.trained


def test_a_model_without_stages_is_at_no_step() -> None:
    scorer = Scorer(model())
    batch = warm_up_batch(scorer.info, 3)
    assert np.isfinite(step_gaps(scorer, batch)).all()

    class Plain:
        info, device, score = scorer.info, "cpu", scorer.score

    assert np.isinf(step_gaps(Plain(), batch)).all()


@pytest.mark.parametrize("where", ["directory", "model store"])
def test_a_damaged_copy_does_not_hide_a_whole_one(tmp_path: Path, where: str) -> None:
    artefact = model(1)
    for name in ("a", "b"):
        artefact.save(tmp_path / name)
    tensors = tmp_path / "a" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x7f")
    stored = settings_of(**{"model.store": str(tmp_path)}, **{"state.directory": str(tmp_path / "state")})
    shelf = Shelf(Sources([tmp_path])) if where == "directory" else shelf_of(stored, ())
    assert shelf(artefact.digest) is not None
