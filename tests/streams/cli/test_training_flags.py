import pytest

from muse_stream.esu_scorer.training import Progress
from muse_stream.streams.cli import training_flags
from muse_stream.streams.cli.training_flags import said


def test_progress_in_words() -> None:
    known = Progress("training", 12_000, 60_000, 4_300.2, 11.2, 0.41234, 0.61234)
    assert said(known) == "12,000 of 60,000 samples, 4,300/s, loss 0.4123, GAUC 0.6123"
    assert said(Progress("counting", 5, None, 2.0, None)) == "5 samples, 2/s"


def test_a_line_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 1.0, 2.5, 2.5, 3.0, 5.0, 5.0])
    show = training_flags._lines(lambda: next(moments))
    for done in (1, 2, 3, 4):
        show("muse", Progress("training", done, 10, 1.0, 3.0))
    assert capsys.readouterr().err.splitlines() == [
        "muse training: 2 of 10 samples, 1/s, 3 s left",
        "muse training: 4 of 10 samples, 1/s, 3 s left",
    ]
