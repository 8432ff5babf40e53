"""The verdict can fail: each wrong course of a fault is called wrong, and the right one is not."""

import json
from dataclasses import replace

import pytest

from tests.drill.verdict import Declared, Episode, Outcome, Report
from tests.drill.watch import AlertWatch
from tests.live.query import Alert

DOWN = Declared(own=(("WorkerDown", "page"),), allowed=frozenset({"Burn"}))
RIGHT = Outcome("kill", DOWN, [Episode("WorkerDown", "page", 4.0, 7.0), Episode("Burn", "page", 9.0, 12.0)])


def alert(name: str, severity: str = "page", **labels: str) -> Alert:
    return Alert(name, "firing", {"alertname": name, "severity": severity, **labels}, {})


def test_a_fault_that_raised_its_alert_and_true_consequences_is_right() -> None:
    report = Report([RIGHT], seconds=60)
    assert report.problems() == []
    assert "| kill | WorkerDown (page) | 4 | 7 | Burn (page, 9 s) |" in report.lines()
    assert json.loads(json.dumps(report.document()))["ok"] is True


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(RIGHT, episodes=[]), "WorkerDown (page) did not fire"),
        (replace(RIGHT, episodes=[Episode("WorkerDown", "ticket", 4.0, 7.0)]), "WorkerDown (page) did not fire"),
        (replace(RIGHT, episodes=[RIGHT.episodes[1]]), "WorkerDown (page) did not fire"),
        (replace(RIGHT, episodes=[Episode("WorkerDown", "page", 4.0, None)]), "did not resolve"),
        (replace(RIGHT, episodes=[Episode("WorkerDown", "page", 4.0, -3.0)]), "was gone 3 s before the repair"),
        (replace(RIGHT, episodes=[*RIGHT.episodes, Episode("Disk", "page", 1.0, 2.0)]), "Disk (page) fired and is no"),
        (replace(RIGHT, episodes=[*RIGHT.episodes, Episode("Disk", "ticket", 1.0, 2.0)]), "Disk (ticket) fired and"),
        (replace(RIGHT, episodes=[RIGHT.episodes[0], Episode("Burn", "page", 9.0, None)]), "Burn did not resolve"),
        (replace(RIGHT, trouble=["worker 0 ended by itself"]), "worker 0 ended by itself"),
        (replace(RIGHT, declared=Declared(own=())), "no alert of its own"),
    ],
)
def test_a_fault_that_went_another_way_is_wrong(wrong: Outcome, said: str) -> None:
    report = Report([RIGHT, wrong])
    assert [text for text in report.problems() if said in text]
    assert any(said in line for line in report.lines())
    assert report.document()["ok"] is False


def test_a_fault_that_raised_nothing_is_shown_so() -> None:
    assert list(Outcome("kill", DOWN).rows()) == [("kill", "WorkerDown (page)", "never", "never", "-")]
    assert Outcome("kill", DOWN).document()["missing"] == ["WorkerDown"]


def test_a_drill_without_faults_or_with_alarms_before_them_is_wrong() -> None:
    assert Report().problems() == ["no fault was tried"]
    assert Report([RIGHT], before=["WorkerDown"]).problems() == ["WorkerDown fired although nothing was broken"]


def test_times_count_from_the_fault_and_from_the_repair() -> None:
    watch = AlertWatch(began=100.0)
    watch.look(101.0, [])
    watch.look(104.0, [alert("WorkerDown", instance="a"), alert("WorkerDown", instance="b")])
    watch.look(105.0, [alert("WorkerDown"), alert("Burn", "ticket")])
    assert watch.fired() == watch.firing() == {("WorkerDown", "page"), ("Burn", "ticket")}
    watch.look(109.0, [alert("WorkerDown")])
    watch.repaired = 110.0
    watch.look(117.0, [])
    assert watch.firing() == set()
    assert watch.episodes() == [Episode("WorkerDown", "page", 4.0, 7.0), Episode("Burn", "ticket", 5.0, -1.0)]


def test_an_alert_that_comes_back_has_not_resolved() -> None:
    watch = AlertWatch(began=0.0, repaired=1.0)
    for now, firing in ((0.5, ["X"]), (2.0, []), (3.0, ["X"])):
        watch.look(now, [alert(name) for name in firing])
    assert watch.episodes() == [Episode("X", "page", 0.5, None)]
    watch.look(6.0, [])
    assert watch.episodes() == [Episode("X", "page", 0.5, 5.0)]
