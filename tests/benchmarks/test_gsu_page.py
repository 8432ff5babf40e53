"""The plot is written, and the page of figures is filled in."""

import json
from dataclasses import asdict
from pathlib import Path

import click
import pytest

from muse_stream.benchmarks import gsu_plot, performance
from muse_stream.benchmarks.gsu import Cell
from muse_stream.benchmarks.gsu_limits import MachineRow
from muse_stream.benchmarks.report import Row

MACHINE = MachineRow("machine: int8 VNNI peak", 926.0, "GOP/s", cpu="A CPU", threads=2, date="2026-11-21")


def cell(length: int, candidates: int, ours: float, recall: float = 1.0) -> Cell:
    return Cell(
        f"mixture, hot, L={length} C={candidates} K=50",
        *(ours, "ms", "NumPy", 2.0, 2.0 / ours),
        data="mixture",
        heat="hot",
        length=length,
        candidates=candidates,
        k=50,
        limit_ms=ours / 4,
        of_limit=0.25,
        times_ms={"ours, hot": ours, "NumPy": 2.0, "halves": 1.0},
        recalls={"ours, hot": 1.0, "NumPy": 1.0, "halves": recall},
    )


def rows() -> list[Row]:
    return [MACHINE, cell(1_000, 1, 4.0), cell(1_000, 10, 1.0, recall=0.999), Row("alone", 3.0, "us")]


def test_a_plot_is_a_png_of_its_own_cells(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    shown = [cell(length, count, length * count / 1e4) for length in (100, 1_000) for count in (1, 10, 100)]
    gsu_plot.draw(shown, MACHINE, str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_of_one_cell_without_a_peer_is_one_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    gsu_plot.draw([cell(100, 1, 1.0)], MACHINE, str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").is_file()


def test_without_matplotlib_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(gsu_plot, "import_module", absent)
    with pytest.raises(click.ClickException, match="make bench-env"):
        gsu_plot.check()


def test_panels_are_the_ends_and_the_middle() -> None:
    assert gsu_plot.some({1, 10, 100, 500, 1_000}) == [1, 100, 1_000]
    assert gsu_plot.some({10, 1}) == [1, 10]


def test_the_title_names_the_machine() -> None:
    assert gsu_plot.title(cell(1, 1, 1.0), MACHINE).endswith("A CPU, 2 threads, 2026-11-21")


def test_figures_become_tables() -> None:
    text = performance.render([json.loads(json.dumps(asdict(row))) for row in rows()])
    assert text.startswith("A CPU, 2 threads, 2026-11-21: int8 VNNI peak 926 GOP/s.")
    assert "| 1,000 | 4, 0.5x NumPy | 1, 2.0x NumPy |" in text
    assert "Goals missed: 1,000 x 1 0.50x of 1x (NumPy)." in text
    assert "1 (0.9990)" in text
    assert "| alone | 3 us |  |  |  |" in text


def test_a_page_is_filled_in_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "gsu.json"
    page.write_text("before\n<!-- figures gsu -->\n<!-- end gsu -->\nafter\n", encoding="utf-8")
    figures.write_text("noise\n" + json.dumps({"rows": [asdict(row) for row in rows()]}) + "\n", encoding="utf-8")
    monkeypatch.setattr(performance, "PAGE", page)
    performance.main([f"gsu={figures}"])
    once = page.read_text(encoding="utf-8")
    performance.main([f"gsu={figures}"])
    assert page.read_text(encoding="utf-8") == once
    assert once.startswith("before\n<!-- figures gsu -->\n\nA CPU")
    assert once.endswith("<!-- end gsu -->\nafter\n")


@pytest.mark.parametrize("argument", ["gsu.json", "nowhere=gsu.json"])
def test_what_has_no_place_is_refused(argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gsu.json").write_text('{"rows": []}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        performance.main([argument])


def test_the_page_has_a_place_for_every_name_that_it_tells_to_measure() -> None:
    text = performance.PAGE.read_text(encoding="utf-8")
    for name in ("gsu", "data", "cold", "incremental", "ragged", "engine_start", "footprint"):
        assert f"{name}={name}.json" in text
        performance.filled(text, name, "figures")
