from pathlib import Path
from types import ModuleType

import pytest

from muse_stream.esu_scorer.errors import PlotError
from muse_stream.esu_scorer.evaluation import Scores, evaluate, plot, plotting
from tests.esu_scorer.evaluation.making import random_scores

PNG = b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(plotting, "import_module", missing)
    with pytest.raises(PlotError, match=r"install muse-stream\[plots\]"):
        plot(evaluate(random_scores(users=20), rounds=0), tmp_path / "report.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rounds", [0, 20])
def test_a_figure_is_written(rounds: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot(evaluate(random_scores(), rounds=rounds), tmp_path / "report.png", title="MUSE")
    assert (tmp_path / "report.png").read_bytes().startswith(PNG)


def test_a_report_of_nothing_still_has_a_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot(evaluate(Scores.join([])), tmp_path / "empty.svg")
    assert "<svg" in (tmp_path / "empty.svg").read_text()


def test_each_bucket_of_users_enough_has_a_mark(tmp_path: Path) -> None:
    figure_class = pytest.importorskip("matplotlib.figure").Figure
    report = evaluate(random_scores(), rounds=20)
    axes = figure_class().subplots()
    plotting._draw_buckets(axes, report, report.by_length, "length")
    enough = [each for each in report.by_length if each.users_counted >= 10]
    assert len(axes.get_xticks()) == len(enough) < len(report.by_length)
