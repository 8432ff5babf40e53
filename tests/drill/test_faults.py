"""The faults are those that are promised, and what they declare exists; a drill calls what raises nothing a failure."""

from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.drill import run as drill
from tests.drill.__main__ import chosen
from tests.drill.faults import FAULTS, Fault, Scene
from tests.drill.verdict import Declared, Key
from tests.drill.watch import AlertWatch
from tests.live.query import Alert

PROMISED = ["worker killed", "consumer paused", "poison flood", "slow disk", "model refused", "Kafka stopped"]


def shipped() -> set[Key]:
    """Name and severity of all alerts in the shipped rule files."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in drill.RULES.glob("*.yml")]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {(rule["alert"], rule["labels"]["severity"]) for rule in rules if "alert" in rule}


def test_every_promised_fault_has_an_alert_of_its_own_that_is_shipped() -> None:
    assert [fault.name for fault in FAULTS] == PROMISED
    own = [key for fault in FAULTS for key in fault.declared.own]
    assert len(own) == len(set(own))
    assert set(own) - shipped() == set()
    allowed = {name for fault in FAULTS for name in fault.declared.allowed}
    assert allowed - {name for name, _ in shipped()} == set()


def test_faults_are_chosen_by_name_in_the_order_of_a_drill() -> None:
    assert [fault.name for fault in chosen("Kafka stopped, worker killed")] == ["worker killed", "Kafka stopped"]
    with pytest.raises(Exception, match="no such fault: fire; there are worker killed"):
        chosen("fire")


class FakeWorld:
    """A world whose alerts are given; workers are always well."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.fleet = SimpleNamespace(look=lambda: iter(()))
        self.query = SimpleNamespace(firing=lambda: list(self.alerts))

    def shared(self) -> bool:
        return True

    def raises(self, *names: str, severity: str = "page") -> None:
        self.alerts = [Alert(name, "firing", {"severity": severity}, {}) for name in names]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    quick = {"CALM": 0.01, "QUIET": 0.01, "FIRE": 0.1, "RESOLVE": 0.1, "SETTLE": 0.1, "LINGER": 0.0, "LOOK": 0.001}
    for name, seconds in quick.items():
        monkeypatch.setattr(drill, f"{name}_SECONDS", seconds)
    return FakeWorld()


def drilled(world: FakeWorld, raised: list[str], left: list[str]) -> list[str]:
    """What is said of a fault that raises these alerts, and whose repair leaves those."""
    scene: Any = Scene(world)  # type: ignore[arg-type]
    declared = Declared((("Own", "page"),), frozenset({"Consequence"}))
    fault = Fault("fault", declared, lambda _: world.raises(*raised), lambda _: world.raises(*left))
    return drill.Drill(scene, lambda line: None).all([fault]).problems()


def test_a_drill_sees_what_is_right_and_what_is_wrong(world: FakeWorld) -> None:
    assert drilled(world, ["Own", "Consequence"], []) == []
    assert drilled(world, [], []) == ["fault: Own (page) did not fire"]
    assert drilled(world, ["Consequence"], []) == ["fault: Own (page) did not fire"]
    assert drilled(world, ["Own", "Other"], []) == ["fault: Other (page) fired and is no consequence of it"]
    wrong = drilled(world, ["Own"], ["Own"])
    assert wrong == ["fault: not calm 0 s after the repair: Own", "fault: Own did not resolve after the repair"]


def test_a_world_that_does_not_become_calm_is_no_drill(world: FakeWorld) -> None:
    world.raises("Own")
    with pytest.raises(drill.DrillError, match="not calm within 0 s: Own"):
        drilled(world, ["Own"], [])


def test_a_repair_is_made_whatever_happens(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        message = "no answer"
        raise RuntimeError(message)

    monkeypatch.setattr(AlertWatch, "fired", broken)
    repaired: list[str] = []
    fault = Fault("fault", Declared((("Own", "page"),)), lambda _: None, lambda _: repaired.append("yes"))
    with pytest.raises(RuntimeError):
        drill.Drill(Scene(world), lambda line: None).one(fault)  # type: ignore[arg-type]
    assert repaired == ["yes"]


def test_tickets_about_slow_burns_are_not_judged(world: FakeWorld) -> None:
    world.raises("MuseLatencyBurn", severity="ticket")
    assert [drill.slow(alert) for alert in world.alerts] == [True]
    world.raises("MuseLatencyBurn", "MuseWorkerDown")
    assert [drill.slow(alert) for alert in world.alerts] == [False, False]
