import pytest

from muse_stream.streams.cli.progress import lines, progress


def test_lines_have_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    show = lines("sent", clock=lambda: now)
    for moment, done in ((1.0, 100), (2.0, 200), (2.5, 250), (5.0, 500), (6.0, 600), (8.0, 1_000)):
        now = moment
        show(done, 1_000)
    assert capsys.readouterr().err.splitlines() == [
        "200 of 1,000 sent, 100/s, 8 s left",
        "500 of 1,000 sent, 100/s, 5 s left",
        "1,000 of 1,000 sent, 125/s, 0 s left",
    ]


def test_nothing_done_yet_is_no_division_by_zero(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 9.0])
    lines("read", clock=lambda: next(moments))(0, 10)
    assert capsys.readouterr().err == "0 of 10 read, 0/s, none yet\n"


def test_a_bar_where_a_person_watches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("muse_stream.streams.cli.progress.is_terminal", lambda: True)
    with progress("sent") as show:
        show(5, 10)
    assert "5/10" in capsys.readouterr().err
