"""A short drill: one fault, and the alarm that it raises and nothing else does."""

from pathlib import Path

import pytest

from tests.drill.faults import FAULTS
from tests.drill.run import run
from tests.drill.slow_disk import COMPILERS, compiler
from tests.live.prometheus import needs_prometheus

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    needs_prometheus,
    pytest.mark.skipif(compiler() is None, reason=f"needs a C compiler, one of {', '.join(COMPILERS)}"),
]


@pytest.mark.timeout(600)
def test_a_killed_worker_raises_its_own_alarm_and_resolves(tmp_path: Path) -> None:
    told: list[str] = []
    killed = [fault for fault in FAULTS if fault.name == "worker killed"]
    report = run(killed, told.append, tmp_path / "drill")
    assert report.problems() == [], "\n".join([*told, *report.lines()])
    assert [outcome.fault for outcome in report.outcomes] == ["worker killed"]
