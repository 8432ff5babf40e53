"""What the running verification exports."""

import urllib.request

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.verification import VerificationMetrics, VerificationReading
from muse_stream.streams.kafka.ports import free_ports


def made() -> VerificationMetrics:
    return VerificationMetrics(reasons=["gone"], read=lambda: VerificationReading(3, 1.5, {"scores": 7}))


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_exports_exactly_its_part_of_the_catalogue() -> None:
    families = text_string_to_metric_families(generate_latest(made().registry).decode())
    own = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in families}
    assert own.pop(c.SCRAPE_ERRORS.name) == "counter"
    assert own == {definition.name: definition.kind for definition in c.VERIFICATION}


def test_answers_are_counted_by_part_and_reason() -> None:
    metrics = made()
    metrics.compared(["window", "scores"], ["scores"], near_step=2, no_model=False)
    metrics.compared(["window"], [], near_step=0, no_model=True)
    metrics.left_out("gone")
    found = samples(generate_latest(metrics.registry).decode())
    assert found["muse_verify_compared_total", "window"] == 2
    assert found["muse_verify_compared_total", "retrieval"] == 0
    assert found["muse_verify_mismatched_total", "scores"] == found["muse_verify_model_not_here_total", ""] == 1
    assert found["muse_verify_near_step_total", ""] == 2
    assert found["muse_verify_not_rebuildable_total", "gone"] == 1
    assert found["muse_verify_lag_messages", "scores"] == 7
    assert (found["muse_verify_waiting_answers", ""], found["muse_verify_oldest_waiting_seconds", ""]) == (3, 1.5)


def test_the_page_is_served_on_a_port() -> None:
    (port,) = free_ports(1)
    stop = made().serve("127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            assert b"muse_verify_waiting_answers 3.0" in response.read()
    finally:
        stop()
