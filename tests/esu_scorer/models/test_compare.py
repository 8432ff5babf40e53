"""A comparison: trains, resumes, scores, tabulates."""

from pathlib import Path

import pytest

from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.evaluation import Scores, difference
from muse_stream.esu_scorer.models import Sizes, compare
from muse_stream.esu_scorer.models.sets import SETS, Choices, Entry
from muse_stream.esu_scorer.training import Progress
from tests.esu_scorer.training.world import SMALL, SmallSource, make

SIZES = Sizes(k=5, recent=4, length=30, tower=(16, 8))
MODELS = [entry for entry in SETS["models"](Choices(SIZES)) if entry.recipe.name in {"din", "twin", "muse"}]


class Told:
    def __init__(self) -> None:
        self.stages: list[tuple[str, str]] = []

    def __call__(self, entry: Entry, progress: Progress) -> None:
        self.stages.append((entry.recipe.name, progress.stage))


def compared(directory: Path, entries: list[Entry] = MODELS, told: Told | None = None) -> compare.Comparison:
    return compare.run(entries, SmallSource(), make, SMALL, directory, told=told or Told())


def test_models_stand_side_by_side_with_the_published_figures(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert [line.entry.recipe.name for line in found.lines] == ["din", "twin", "muse"]
    assert all(line.report.samples == 60 for line in found.lines)
    assert [line.difference is None for line in found.lines] == [False, False, True]
    scores = {name: kept(tmp_path / name) for name in ("din", "muse")}
    assert found.lines[0].difference == difference(scores["din"], scores["muse"], seed=SMALL.seed)
    text = found.table()
    assert "0.6154" in text
    assert "- din: recent behaviours only" in text
    assert "Published figures: Taobao-MM, 1K history; not rerun." in text
    assert "small, part test" in text


def kept(directory: Path) -> Scores:
    (file,) = directory.glob("scores-test-*.safetensors")
    scores = compare._read(file)
    assert scores is not None
    return scores


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    first, again = Told(), Told()
    before = compared(tmp_path, MODELS[:2], first)
    assert {stage for _, stage in first.stages} >= {"training", "scoring"}
    after = compared(tmp_path, MODELS, again)
    assert {name for name, stage in again.stages if stage != "finished"} == {"muse"}
    assert [line.report for line in after.lines[:2]] == [line.report for line in before.lines]
    assert [line.difference for line in before.lines] == [None, None], "there is no MUSE to compare with"


def test_lost_scores_are_made_anew_and_equal(tmp_path: Path) -> None:
    before = compared(tmp_path, MODELS[:1])
    (file,) = (tmp_path / "din").glob("scores-*")
    file.write_bytes(file.read_bytes()[:-7])
    assert compared(tmp_path, MODELS[:1]) == before


def test_a_part_without_samples_and_two_of_one_name_are_refused_before_training(tmp_path: Path) -> None:
    empty = SmallSource(samples={"train": 400, "test": 0})
    with pytest.raises(TrainingError, match="no samples of the part 'test'"):
        compare.run(MODELS, empty, make, SMALL, tmp_path / "a", told=Told())
    with pytest.raises(TrainingError, match="entries of one name: din"):
        compared(tmp_path / "b", [MODELS[0], MODELS[0]])
    assert list(tmp_path.iterdir()) == []
