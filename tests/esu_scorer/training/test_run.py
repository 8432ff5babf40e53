import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import Artefact
from muse_stream.esu_scorer.data import Part
from muse_stream.esu_scorer.errors import DataError, TrainingError
from muse_stream.esu_scorer.evaluation import Scores, gauc
from muse_stream.esu_scorer.models.recipe import Recipe
from muse_stream.esu_scorer.training import Progress, TrainingConfig, score, train

from .world import RECIPE, SIZES, SMALL, SmallSource, broken, make

LONG: dict[Part, int] = {"train": 4000, "validation": 400}


def silent(progress: Progress) -> None:
    assert progress.done >= 0


def trained(directory: Path, config: TrainingConfig = SMALL, source: SmallSource | None = None) -> Artefact:
    result = train(source or SmallSource(), RECIPE, make, config, directory, told=silent)
    return Artefact.load(result.artefact)


def same(first: Artefact, second: Artefact) -> bool:
    return all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


@pytest.mark.parametrize("threads", [1, 2])
def test_one_seed_gives_one_model_to_the_bit(tmp_path: Path, threads: int) -> None:
    config = msgspec.structs.replace(SMALL, threads=threads)
    first, again = trained(tmp_path / "a", config), trained(tmp_path / "b", config)
    assert first.digest == again.digest
    assert same(first, again)
    other = trained(tmp_path / "c", msgspec.structs.replace(config, seed=2))
    assert not same(first, other)


def test_training_leaves_torch_as_it_was(tmp_path: Path) -> None:
    before = torch.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    trained(tmp_path / "a", msgspec.structs.replace(SMALL, threads=3))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before[1:]


def test_it_learns_what_the_retrieved_say(tmp_path: Path) -> None:
    config = msgspec.structs.replace(SMALL, epochs=4)
    result = train(SmallSource(samples=LONG), RECIPE, make, config, tmp_path / "a", told=silent)
    assert result.samples == 4 * LONG["train"]
    assert result.validation is not None
    assert result.validation.gauc.value is not None
    assert result.validation.gauc.value > 0.75
    lines = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["gauc"] > 0.7
    assert lines[-1]["samples"] == result.samples


def test_the_artefact_says_what_it_was_trained_on(tmp_path: Path) -> None:
    artefact = trained(tmp_path / "a")
    manifest = artefact.manifest
    assert manifest.trained
    assert (manifest.k, manifest.r, manifest.space) == (RECIPE.k, RECIPE.recent, "v1")
    assert not isinstance(manifest.data, msgspec.UnsetType)
    times = SmallSource().whole("train").time_ms
    span = (manifest.data.source, manifest.data.samples, manifest.data.first_ms, manifest.data.last_ms)
    assert span == ("small", SIZES["train"], times.min(), times.max())
    assert set(manifest.metrics) == {"gauc", "auc", "log_loss", "calibration"}
    assert manifest.parent is msgspec.UNSET


def test_scoring_with_the_artefact_gives_the_validation_of_the_run(tmp_path: Path) -> None:
    source = SmallSource()
    result = train(source, RECIPE, make, SMALL, tmp_path / "a", told=silent)
    artefact = Artefact.load(result.artefact)
    rule = RECIPE.rule(source, make, {})
    told: list[Progress] = []
    parts = score(source, "validation", artefact, rule, length=RECIPE.length, batch=32, told=told.append)
    scores = Scores.join(parts)
    assert result.validation is not None
    assert gauc(scores.user, scores.label, scores.score) == pytest.approx(result.validation.gauc.value, abs=1e-9)
    whole = source.whole("validation")
    assert np.array_equal(scores.user, whole.user)
    assert np.array_equal(scores.label, whole.label)
    assert np.array_equal(scores.history, np.minimum(whole.stop, RECIPE.length))
    assert (scores.age_ms > 0).all()
    assert told[-1].done == SIZES["validation"]


def test_scores_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    source, artefact = SmallSource(), trained(tmp_path / "a")
    rule = RECIPE.rule(source, make, {})
    scored = [
        Scores.join(score(source, "test", artefact, rule, length=30, batch=batch, told=silent)) for batch in (7, 1000)
    ]
    np.testing.assert_allclose(scored[0].score, scored[1].score, atol=1e-6)


def test_another_sources_features_are_refused(tmp_path: Path) -> None:
    artefact = trained(tmp_path / "a")
    other = SmallSource(spec=type(artefact.spec).of({"item": 8, "category": 8, "band": 4}, {"region": 4}))
    with pytest.raises(TrainingError, match="region"):
        score(other, "test", artefact, RECIPE.rule(other, make, {}), length=30, told=silent)


def test_a_finished_run_says_so_and_trains_nothing(tmp_path: Path) -> None:
    first = train(SmallSource(), RECIPE, make, SMALL, tmp_path / "a", told=silent)
    told: list[Progress] = []
    again = train(SmallSource(), RECIPE, make, SMALL, tmp_path / "a", told=told.append)
    assert (first.before, again.before) == (False, True)
    assert again.validation == first.validation
    assert [progress.stage for progress in told] == ["finished"]


def test_a_directory_of_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    with pytest.raises(TrainingError, match=r"training\.batch is 50 there, 25 now"):
        trained(tmp_path / "a", msgspec.structs.replace(SMALL, batch=25))
    with pytest.raises(TrainingError, match=r"source\.name is 'small' there, 'other' now"):
        trained(tmp_path / "a", source=SmallSource(name="other"))
    other = Recipe(RECIPE.name, RECIPE.network, RECIPE.rule, k=4, recent=4, length=30)
    with pytest.raises(TrainingError, match=r"recipe\.k is 5 there, 4 now"):
        train(SmallSource(), other, make, SMALL, tmp_path / "a", told=silent)


def test_the_number_of_threads_belongs_to_the_run(tmp_path: Path) -> None:
    trained(tmp_path / "a", msgspec.structs.replace(SMALL, threads=0))
    actual = json.loads((tmp_path / "a" / "settings.json").read_bytes())["training"]["threads"]
    assert actual >= 1
    with pytest.raises(TrainingError, match=rf"training\.threads is {actual} there, {actual + 1} now"):
        trained(tmp_path / "a", msgspec.structs.replace(SMALL, threads=actual + 1))


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"thesis\.txt.*no run"):
        trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_progress_has_every_stage_with_rate_and_time_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(SmallSource(), RECIPE, make, SMALL, tmp_path / "a", told=told.append)
    assert list(dict.fromkeys(progress.stage for progress in told)) == ["counting", "training", "validating"]
    for progress in told:
        assert progress.rate > 0
        assert progress.seconds_left is not None
        assert progress.total is not None
    last = [progress for progress in told if progress.stage == "training"][-1]
    assert (last.done, last.total, last.seconds_left) == (400, 400, 0)
    assert last.loss is not None
    assert last.gauc is not None


def test_a_run_without_validation_has_no_report(tmp_path: Path) -> None:
    result = train(SmallSource(samples={"train": 120}), RECIPE, make, SMALL, tmp_path / "a", told=silent)
    assert result.validation is None
    assert Artefact.load(result.artefact).manifest.metrics == {}


def test_validation_on_the_way_changes_nothing_but_the_metrics(tmp_path: Path) -> None:
    config = msgspec.structs.replace(SMALL, refresh_batches=4, checkpoint_batches=4)
    plain = trained(tmp_path / "a", config)
    watched = trained(tmp_path / "b", msgspec.structs.replace(config, evaluate_batches=4))
    assert same(plain, watched)
    lines = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["batch"] for line in lines if "validation" in line] == [4, 8]


def test_one_class_alone_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"0 samples to train on"):
        trained(tmp_path / "a", source=SmallSource(samples={"train": 0}))


def test_retrieved_cosines_that_are_no_numbers_are_told_by_sample(tmp_path: Path) -> None:
    recipe = Recipe("broken", RECIPE.network, broken, k=5, recent=4, length=30)
    with pytest.raises(DataError, match=r"samples 50\.\.99 of the part 'train'.*recent_cosine\[\d+, 2\] is nan"):
        train(SmallSource(), recipe, make, SMALL, tmp_path / "a", told=silent)
