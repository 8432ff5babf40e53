"""A whole board: what is chosen on top, rows of panels on the grid, links, annotations.

Invariant: the same code gives the same bytes. Panel ids count from 1 in reading order, there is no version, and `id` is
null, as Grafana wants it of a board that it files under its `uid`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableRefresh,
    VariableSort,
)

from deploy.dashboards.common import DATASOURCE
from deploy.dashboards.promql import series

COLUMNS = 24
"""Width of Grafana's grid."""
TAG = "muse-stream"
"""By which the boards find each other."""

ALERTS = 'max by (alertname, severity) (ALERTS{alertstate="firing"})'
MODELS = (
    f"1000 * max by (slot, version) ({series('muse_model_info')} * on (job, instance, slot) group_left () "
    f"{series('muse_model_loaded_timestamp_seconds')})"
)
"""When each model came into service, in the milliseconds that an annotation wants."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side and below one another; an empty title draws no line above them."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """A board's name and what is on it.

    Attributes:
        name: Of the file, and the end of the uid.
        title: As Grafana lists it.
        answers: The questions that it answers.
        rows: From top to bottom.

    """

    name: str
    title: str
    answers: str
    rows: Sequence[Row]

    def text(self) -> str:
        """The board as Grafana's JSON."""
        built = self._head().build()
        built.panels = list(_laid_out(self.rows))
        document = json.loads(json.dumps(built, cls=JSONEncoder))
        return json.dumps({"id": None, **document}, indent=1, sort_keys=True) + "\n"

    def _head(self) -> builders.Dashboard:
        head = builders.Dashboard(self.title).uid(f"muse-{self.name}").description(self.answers).tags([TAG]).readonly()
        head.time("now-1h", "now").refresh("10s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
        head.with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        head.with_variable(_choice("job", "Job", "label_values(muse_build_info, job)"))
        workers = 'label_values(muse_build_info{job=~"$job"}, instance)'
        head.with_variable(_choice("instance", "Worker", workers).all_value(".*"))
        head.annotation(_annotation("Alerts", "red", ALERTS, "{{alertname}}").tag_keys("severity"))
        head.annotation(_annotation("Models", "blue", MODELS, "{{slot}}: {{version}}").use_value_for_time(True))
        return head.link(_link())


def _choice(name: str, label: str, values: str) -> builders.QueryVariable:
    choice = builders.QueryVariable(name).label(label).datasource(DATASOURCE).query(values)
    choice.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    return choice.multi(True).include_all(True)


def _annotation(name: str, colour: str, expr: str, title: str) -> builders.AnnotationQuery:
    mark = builders.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(colour)
    return mark.expr(expr).title_format(title)


def _link() -> builders.DashboardLink:
    link = builders.DashboardLink(TAG).type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(False)
    return link.keep_time(True).include_vars(True)


def _laid_out(rows: Sequence[Row]) -> Iterator[Panel | RowPanel]:
    """Panels with ids and places, each row below the former."""
    y, number = 0, 0
    for row in rows:
        if row.title:
            number += 1
            yield RowPanel(title=row.title, id_val=number, grid_pos=GridPos(h=1, w=COLUMNS, x=0, y=y), panels=[])
            y += 1
        x = height = 0
        for panel in row.panels:
            number += 1
            place = panel.grid_pos or GridPos()
            if x + place.w > COLUMNS:
                x, y, height = 0, y + height, 0
            place.x, place.y, panel.id_val = x, y, number
            x, height = x + place.w, max(height, place.h)
            yield panel
        y += height
