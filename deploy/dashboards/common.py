"""What all panels share: texts, data source, colours, queries.

Invariant: nobody finishes a panel but `finished`, so that none is without unit, text or data source.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, heatmap, prometheus, stat, statushistory, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import FieldColorModeId, GridPos, Panel, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards.promql import quantile

DATASOURCE = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The data source that the reader chose: a fixed one would be unknown in every other Grafana."""

GOOD, WARN, BAD = "green", "orange", "red"
QUANTILE_NAMES = {0.1: "p10", 0.5: "half", 0.9: "p90", 0.99: "p99", 0.999: "p99.9"}
"""What quantiles are called."""
Limits = Sequence[tuple[float, str]]
"""Values and the colour from each on, rising."""

AnyPanel = TypeVar(
    "AnyPanel",
    timeseries.Panel,
    stat.Panel,
    bargauge.Panel,
    heatmap.Panel,
    statushistory.Panel,
    table.Panel,
)


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called, with labels as `{{label}}`."""

    expr: str
    legend: str


def quantiles(histogram: str, *shares: float) -> list[Query]:
    """Of what a histogram saw, each quantile under the name that all boards use for it."""
    return [Query(quantile(share, histogram), QUANTILE_NAMES[share]) for share in shares]


@dataclass(frozen=True, slots=True)
class About:
    """What a reader wants to know of a panel.

    Attributes:
        title: What is shown.
        unit: Grafana's name of the unit.
        means: What the figures mean.
        do: What to do when they are bad.
        width: Of 24 columns.
        height: In grid units of 38 pixels.
        limits: Where colours change; without any, colours tell series apart.
        low: Colour below the first limit.

    """

    title: str
    unit: str
    means: str
    do: str
    width: int = 8
    height: int = 8
    limits: Limits = ()
    low: str = GOOD


@dataclass(frozen=True, slots=True)
class Ask:
    """How a panel's queries are put: over time, or once for now; as series, table or buckets."""

    now: bool = False
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES


def finished(panel: AnyPanel, about: About, queries: Sequence[Query], ask: Ask = Ask()) -> Panel:
    """Give a panel its texts, unit, colours, data source and queries."""
    panel.title(about.title).description(f"{about.means}\n\n**What to do:** {about.do}").unit(about.unit)
    panel.thresholds(_thresholds(about)).color_scheme(_colours(panel, about)).datasource(DATASOURCE)
    for at, query in enumerate(queries):
        panel.with_target(_target(query, ask).ref_id(chr(ord("A") + at)))
    built = panel.build()
    built.grid_pos = GridPos(h=about.height, w=about.width)
    return built


def _target(query: Query, ask: Ask) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).format(ask.form)
    return (target.instant() if ask.now else target.range()).datasource(DATASOURCE)


def _thresholds(about: About) -> builders.ThresholdsConfig:
    steps = [Threshold(None, about.low), *(Threshold(value, colour) for value, colour in about.limits)]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _colours(panel: object, about: About) -> builders.FieldColor:
    by_name = isinstance(panel, timeseries.Panel) or not about.limits
    mode = FieldColorModeId.PALETTE_CLASSIC_BY_NAME if by_name else FieldColorModeId.THRESHOLDS
    return builders.FieldColor().mode(mode)
