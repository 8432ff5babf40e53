"""All boards, in the order in which they are listed."""

from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.dashboards import ingest, model, overview, serving, state
from deploy.dashboards.board import Board

BOARDS: Sequence[Callable[[], Board]] = (overview.board, serving.board, ingest.board, state.board, model.board)
DIRECTORY = Path(__file__).parents[1] / "grafana/dashboards"
"""Where their JSON is committed, and where Grafana is told to look."""


def files(boards: Sequence[Callable[[], Board]] = BOARDS) -> dict[str, str]:
    """File name and content of each board."""
    made = [make() for make in boards]
    return {f"{board.name}.json": board.text() for board in made}
