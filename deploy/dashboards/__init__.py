"""The Grafana boards, as code: `python -m deploy.dashboards` writes `deploy/grafana/dashboards/*.json`.

Invariant: a panel says what it means and what to do, has a unit, asks the data source that the reader chose, and sums
or takes the worst over workers by itself; the JSON in the tree is what this code makes.
"""
