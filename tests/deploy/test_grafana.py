"""Grafana's provisioning names places that the composition has."""

from .files import DEPLOY, document

PROVISIONING = DEPLOY / "grafana/provisioning"


def test_the_data_source_is_the_prometheus_of_compose() -> None:
    (source,) = document(PROVISIONING / "datasources/prometheus.yml")["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["url"] == "http://prometheus:9090"
    assert "9090:9090" in document(DEPLOY / "docker/compose.yaml")["services"]["prometheus"]["ports"][0]
    interval = document(DEPLOY / "prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval


def test_boards_are_read_from_where_compose_puts_them() -> None:
    (provider,) = document(PROVISIONING / "dashboards/muse-stream.yml")["providers"]
    mounts = document(DEPLOY / "docker/compose.yaml")["services"]["grafana"]["volumes"]
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in mounts
