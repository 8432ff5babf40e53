"""What every panel must have: a unit, words, the reader's data source, a place of its own."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.deploy.boards import boards, panels

COLUMNS = 24
UNITS = frozenset({"none", "short", "s", "bytes", "binBps", "percentunit", "reqps", "cps", "ops"})
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def each_board() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("board", boards().values(), ids=boards().keys())


Panel = dict[str, Any]


def wrong(fits: Callable[[Panel], bool]) -> list[str]:
    """Panels that do not fit, by board and title."""
    return [
        f"{name}: {panel['title']}" for name, board in boards().items() for panel in panels(board) if not fits(panel)
    ]


def has_words(panel: Panel) -> bool:
    means, _, do = panel["description"].partition("\n\n**What to do:** ")
    return bool(panel["title"]) and all(len(text) > 15 and text.endswith(".") for text in (means, do))


def test_every_panel_says_what_it_means_and_what_to_do() -> None:
    assert wrong(has_words) == []


def test_every_panel_has_a_unit_that_grafana_knows() -> None:
    assert wrong(lambda panel: panel["fieldConfig"]["defaults"]["unit"] in UNITS) == []


def names_labels(panel: Panel) -> bool:
    """Whether legends are made of labels that queries keep; without one, a series shows its whole label set."""
    for target in panel["targets"]:
        named = {part.split("}}")[0] for part in target["legendFormat"].split("{{")[1:]}
        if not target["legendFormat"] or any(label not in target["expr"] for label in named):
            return False
    return True


def test_legends_name_labels_and_queries_are_told_apart() -> None:
    assert wrong(names_labels) == []
    assert wrong(lambda panel: len({one["legendFormat"] for one in panel["targets"]}) == len(panel["targets"])) == []
    assert wrong(lambda panel: len({one["refId"] for one in panel["targets"]}) == len(panel["targets"])) == []


def sources(value: object) -> Iterator[object]:
    """Every data source that is named somewhere in a board."""
    if isinstance(value, dict):
        if "datasource" in value:
            yield value["datasource"]
        for part in value.values():
            yield from sources(part)
    elif isinstance(value, list):
        for part in value:
            yield from sources(part)


@each_board()
def test_nothing_names_a_fixed_data_source(board: dict[str, Any]) -> None:
    assert all(source == SOURCE for source in sources(board))
    assert all("datasource" in panel for panel in panels(board))
    assert [(one["name"], one["type"], one["query"]) for one in board["templating"]["list"][:1]] == [
        ("datasource", "datasource", "prometheus")
    ]


@each_board()
def test_panels_do_not_overlap_and_stay_on_the_grid(board: dict[str, Any]) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in board["panels"]]
    for title, place in places:
        assert place["w"] > 0, title
        assert 0 <= place["x"] <= COLUMNS - place["w"], title
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, f"{one} and {other} overlap"


@each_board()
def test_every_line_of_panels_is_full(board: dict[str, Any]) -> None:
    lines: dict[int, int] = {}
    for panel in board["panels"]:
        lines[panel["gridPos"]["y"]] = lines.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(lines.values()) == {COLUMNS}, f"columns in use by line: {lines}"


@each_board()
def test_ids_and_titles_are_distinct(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in board["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    assert len(titles) == len(set(titles))
