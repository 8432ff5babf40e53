import io
from dataclasses import replace

import pytest
from rich.console import Console

from muse_stream.streams.demo.live import Figures, LiveTable, PlainLines, figures_table, make_view

FIGURES = Figures(
    seconds=3.0,
    sent=1_200,
    total=32_181,
    stored=1_100,
    events_per_second=2_640.4,
    freshness_p50_ms=12.34,
    freshness_p99_ms=48.0,
    requests_sent=30,
    requests_answered=29,
    latency_p50_ms=None,
    latency_p99_ms=None,
    retrieval_p50_ms=1.04,
    scoring_p50_ms=None,
)


def test_a_line_says_it_all_and_marks_what_is_not_measured() -> None:
    line = FIGURES.line()
    for part in ("2,640 events/s", "1,100 of  1,200", "p50 12.3 ms, p99 48.0 ms", "29/30", "retrieval 1.0 ms"):
        assert part in line
    assert line.endswith("scoring -")


def test_plain_lines_come_every_two_seconds_and_at_the_end() -> None:
    out = io.StringIO()
    now = 0.0
    with PlainLines(Console(file=out, width=200), clock=lambda: now) as view:
        for moment, sent in ((0.5, 100), (2.1, 200), (2.5, 300), (3.0, 400)):
            now = moment
            view.update(replace(FIGURES, sent=sent))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "of    200" in lines[0]
    assert "of    400" in lines[1]


def test_a_terminal_gets_a_table_and_a_file_gets_lines() -> None:
    assert isinstance(make_view(Console(file=io.StringIO(), force_terminal=True)), LiveTable)
    assert isinstance(make_view(Console(file=io.StringIO(), force_terminal=False)), PlainLines)


def test_the_table_ends_with_the_last_figures() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with LiveTable(console) as view:
        view.update(FIGURES)
        view.update(replace(FIGURES, stored=32_181))
    assert isinstance(console.file, io.StringIO)
    assert "32,181" in console.file.getvalue().splitlines()[-9]


@pytest.mark.parametrize("name", ["events/s", "broker time to retrievable", "retrieval (p50)", "scoring (p50)"])
def test_the_table_names_its_figures(name: str) -> None:
    assert name in [row for row, _ in FIGURES.rows()]
    assert figures_table(FIGURES).row_count == len(FIGURES.rows())
