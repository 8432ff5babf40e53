"""All rules at once, on a whole world: what fires is what is meant to, and on calm or ordinary days nothing does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy import rules, world
from tests.deploy.promtool import needs_promtool, run_cases
from tests.deploy.timeline import Case, Course, Level, Rate

pytestmark = needs_promtool

FIRING = 'count by (alertname, severity) (ALERTS{alertstate="firing"})'


@dataclass(frozen=True)
class Scenario:
    """What happens, and how many of each alert fire when it has gone on for so long."""

    series: Mapping[str, Course]
    minutes: tuple[float, float, float] = (20, 10, 10)
    fires: Mapping[tuple[str, str], int] | None = None


KAFKA_STOPPED = world.changed(
    muse_ingest_broker_ok=Level(1, 0),
    muse_ingest_lag_seconds=Level(0, 500),
    muse_ingest_consumer_offset=Rate(50, 0),
    muse_canary_unseen_seconds=Level(4, 500),
    muse_canary_freshness_seconds_count=Rate(0.4, 0),
    muse_canary_freshness_seconds_bucket=Rate(0.4, 0),
    muse_requests_total=Rate(10, 0),
    muse_request_duration_seconds_count=Rate(10, 0),
    muse_request_duration_seconds_bucket=Rate(9.98, 0),
)
SCENARIOS = {
    "a calm day": Scenario(world.CALM),
    "an idle system": Scenario(world.world(pace=0)),
    "all workers restart, a minute each": Scenario(world.without("w1", "w2", "w3"), (20, 1, 10)),
    "a worker is killed and another takes over": Scenario(
        world.taken_over(), (20, 15, 10), {("MuseWorkerDown", "ticket"): 1}
    ),
    "two workers are killed and nobody takes over": Scenario(
        world.without("w1", "w2"),
        (20, 10, 10),
        {("MuseWorkerDown", "ticket"): 2, ("MusePartitionsWithoutOwner", "page"): 1},
    ),
    "all workers are killed": Scenario(
        world.without("w1", "w2", "w3"),
        (20, 10, 10),
        {("MuseWorkerDown", "ticket"): 3, ("MuseNoWorker", "page"): 1},
    ),
    "Kafka stops": Scenario(KAFKA_STOPPED, (20, 4, 10), {("MuseBrokersUnreachable", "page"): 1}),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_fires_is_what_is_meant_to(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    case = Case(name, scenario.series, minutes=scenario.minutes)
    document = case.document("none", [str(path) for path in rules.FILES])
    fired = [
        {"labels": f'{{alertname="{alert}", severity="{severity}"}}', "value": count}
        for (alert, severity), count in (scenario.fires or {}).items()
    ]
    before, fault, after = case.samples()
    looks = [(before, []), (before + fault // 2, []), (before + fault, fired), (before + fault + after, [])]
    if fired:
        looks.pop(1)
    document["tests"][0]["promql_expr_test"] = [
        {"expr": FIRING, "eval_time": f"{sample * case.step_seconds}s", "exp_samples": expected}
        for sample, expected in looks
    ]
    passed, text = run_cases(tmp_path, [document])
    assert passed, text
