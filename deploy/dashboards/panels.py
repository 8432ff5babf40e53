"""The kinds of panel that the boards use."""

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, statushistory, table, timeseries
from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, Panel
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards.common import About, Ask, Query, finished

NOW = Ask(now=True)


def lines(about: About, *queries: Query, stacked: bool = False, log: bool = False, top: float | None = None) -> Panel:
    """Curves over time.

    Args:
        about: Texts and sizes; limits become dashed lines.
        queries: What is drawn.
        stacked: The curves add up to something.
        log: A logarithmic axis, for times that span decades.
        top: Upper end of the axis, for shares.

    """
    panel = timeseries.Panel().line_width(1).fill_opacity(60 if stacked else 8)
    panel.legend(_legend()).tooltip(_tooltip()).show_points(kinds.VisibilityMode.NEVER)
    if log:
        panel.scale_distribution(looks.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10))
    else:
        panel.min(0)
    if top is not None:
        panel.max(top)
    if stacked:
        panel.stacking(looks.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    if about.limits:
        panel.thresholds_style(looks.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    return finished(panel, about, queries)


def tile(about: About, *queries: Query, text: str = "no data") -> Panel:
    """One figure, the latest, on a coloured ground; `text` where there is none."""
    panel = stat.Panel().reduce_options(_latest()).no_value(text).graph_mode(kinds.BigValueGraphMode.NONE)
    panel.color_mode(kinds.BigValueColorMode.BACKGROUND_SOLID if about.limits else kinds.BigValueColorMode.NONE)
    panel.text_mode(kinds.BigValueTextMode.VALUE if len(queries) == 1 else kinds.BigValueTextMode.VALUE_AND_NAME)
    return finished(panel, about, queries, NOW)


def bars(about: About, *queries: Query, low: float = 0, top: float | None = None, text: str = "none") -> Panel:
    """A horizontal bar per series, the latest value; `text` where there is no series."""
    panel = bargauge.Panel().reduce_options(_latest()).no_value(text).min(low)
    panel.orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC)
    if top is not None:
        panel.max(top)
    return finished(panel, about, queries, NOW)


def heat(about: About, query: Query) -> Panel:
    """Buckets of a histogram over time."""
    panel = heatmap.Panel().calculate(False).cell_gap(1)
    panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(32))
    panel.y_axis(heatmap.YAxisConfig().unit(about.unit)).cell_values(heatmap.CellValues().unit("short"))
    return finished(panel, about, [query], Ask(form=PromQueryFormat.HEATMAP))


def history(about: About, query: Query) -> Panel:
    """A row per series, coloured over time: which one was bad, and when."""
    panel = statushistory.Panel().row_height(0.9).show_value(kinds.VisibilityMode.NEVER)
    return finished(panel.legend(_legend()).tooltip(_tooltip()), about, [query])


def rows(about: About, query: Query, *columns: str, value: str, text: str = "none") -> Panel:
    """A table of the latest series.

    Args:
        about: Texts and sizes.
        query: What is listed.
        columns: The labels that are shown, in this order.
        value: Title of the figure's column; empty leaves it out.
        text: What stands there while there is no row.

    """
    shown = [*columns, "Value"]
    order = {
        "excludeByName": {"Time": True, "Value": not value},
        "indexByName": {name: at for at, name in enumerate(shown)},
        "renameByName": {"Value": value} if value else {},
    }
    panel = table.Panel().no_value(text).show_header(True)
    panel.with_transformation(DataTransformerConfig(id_val="organize", options=order))
    return finished(panel, about, [query], Ask(now=True, form=PromQueryFormat.TABLE))


def _latest() -> looks.ReduceDataOptions:
    return looks.ReduceDataOptions().values(False).calcs(["lastNotNull"])


def _legend() -> looks.VizLegendOptions:
    legend = looks.VizLegendOptions().show_legend(True).display_mode(kinds.LegendDisplayMode.LIST)
    return legend.placement(kinds.LegendPlacement.BOTTOM)


def _tooltip() -> looks.VizTooltipOptions:
    return looks.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
