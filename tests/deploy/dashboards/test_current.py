"""The committed JSON is what the code makes, and it is what Grafana files under a name of its own."""

import json

from deploy.dashboards import slo
from deploy.dashboards.boards import files
from tests.deploy.boards import DIRECTORY, ROOT, boards
from tests.deploy.rules import alerts, records

HEIGHT_MAX = 21
"""Grid units of 38 pixels that a browser of 1920 x 1080 shows below Grafana's and its own bars: 798 of 1080."""


def test_the_json_is_current() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.glob("*.json")}
    assert files() == committed, "run: make dashboards"


def test_made_again_it_is_the_same_bytes() -> None:
    assert files() == files()


def test_a_board_has_no_id_and_no_version_but_a_name_for_good() -> None:
    names = {"overview", "serving", "ingest", "state", "model"}
    assert {board["uid"] for board in boards().values()} == {f"muse-{name}" for name in names}
    for name, board in boards().items():
        assert board["uid"] == f"muse-{name}"
        assert board["id"] is None
        assert not {"version", "__inputs", "__requires", "gnetId"} & set(board)


def test_the_lines_are_where_the_rules_have_the_objectives() -> None:
    assert {sli: records()[f"muse:{sli}:objective"] for sli in slo.OBJECTIVES} == {
        sli: f"vector({objective})" for sli, objective in slo.OBJECTIVES.items()
    }
    for sli, bound in (("latency", slo.FAST_SECONDS), ("freshness", slo.FRESH_SECONDS), ("canary", slo.CANARY_SECONDS)):
        assert f'le="{bound}"' in records()[f"job:{sli}:bad_rate5m"]


def test_every_alert_leads_to_a_board() -> None:
    there = {f"/d/{board['uid']}" for board in boards().values()}
    assert {alert.annotations["dashboard_url"] for alert in alerts()} <= there


def test_every_board_is_told_about() -> None:
    page = (ROOT / "docs/dashboards.md").read_text(encoding="utf-8")
    for name, board in boards().items():
        assert f"`{name}.json`" in page
        assert board["title"].removeprefix("muse-stream / ") in page


def test_the_overview_fits_one_screen() -> None:
    panels = boards()["overview"]["panels"]
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) <= HEIGHT_MAX
    assert "row" not in json.dumps([panel["type"] for panel in panels])
