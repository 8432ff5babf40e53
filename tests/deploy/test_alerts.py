"""Every alert fires when it must, does not when it must not, and ends: shown by promtool on made-up series."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from tests.deploy import rules
from tests.deploy.cases import ALL
from tests.deploy.promtool import needs_promtool, run_cases
from tests.deploy.timeline import Case

pytestmark = needs_promtool


def _rule_file(directory: Path, alert: str) -> str:
    path = directory / "rules.yml"
    path.write_text(yaml.safe_dump(rules.only(alert), sort_keys=False), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("alert", rules.names())
def test_an_alert_fires_when_it_must_and_only_then(alert: str, tmp_path: Path) -> None:
    file = _rule_file(tmp_path, alert)
    passed, text = run_cases(tmp_path, [case.document(alert, [file]) for case in ALL[alert]])
    assert passed, _named(ALL[alert], text)


def _named(cases: Sequence[Case], text: str) -> str:
    for number, case in enumerate(cases):
        text = text.replace(f"case-{number}.yml", f"case-{number}.yml ({case.what})")
    return text


@pytest.mark.parametrize("alert", rules.names())
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    cases: Mapping[bool, list[Case]] = {
        fires: [case for case in ALL[alert] if bool(case.fires) is fires] for fires in (True, False)
    }
    assert cases[True], f"{alert} never fires"
    assert cases[False], f"{alert} has no case in which it must not fire"
    severities = {rule.labels["severity"] for rule in rules.alerts() if rule.name == alert}
    fired = {labels.get("severity") for case in cases[True] for labels in case.fires}
    assert severities == fired or len(severities) == 1, f"{alert}: of {severities} only {fired} are tried"


def test_no_case_is_of_an_alert_that_does_not_exist() -> None:
    assert set(ALL) == set(rules.names())
