"""Every alert fires when it must, does not when it must not, and ends: shown by promtool on made-up series."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.deploy import rules
from tests.deploy.cases import ALL
from tests.deploy.promtool import needs_promtool, run_cases
from tests.deploy.timeline import Case


def _rule_file(directory: Path, alert: str) -> str:
    path = directory / "rules.yml"
    path.write_text(yaml.safe_dump(rules.only(alert), sort_keys=False), encoding="utf-8")
    return str(path)


@needs_promtool
@pytest.mark.parametrize("alert", rules.names())
def test_an_alert_fires_when_it_must_and_only_then(alert: str, tmp_path: Path) -> None:
    file = _rule_file(tmp_path, alert)
    passed, text = run_cases(tmp_path, [case.document(alert, [file]) for case in ALL[alert]])
    assert passed, _named(ALL[alert], text)


def _named(cases: Sequence[Case], text: str) -> str:
    for number, case in enumerate(cases):
        text = text.replace(f"case-{number}.yml", f"case-{number}.yml ({case.what})")
    return text


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    for alert in rules.names():
        assert {bool(case.fires) for case in ALL[alert]} == {True, False}, alert


def test_every_severity_of_an_alert_is_tried() -> None:
    """Tickets of burn rates on availability alone, since all have one form."""
    for alert in sorted({*rules.names()} - {f"Muse{other}Burn" for other in ("Latency", "Freshness", "Canary")}):
        severities = {rule.labels["severity"] for rule in rules.alerts() if rule.name == alert}
        fired = {labels["severity"] for case in ALL[alert] for labels in case.fires if "severity" in labels}
        assert len(severities) == 1 or severities == fired, f"{alert}: of {severities} only {fired} are tried"


def test_no_case_is_of_an_alert_that_does_not_exist() -> None:
    assert set(ALL) == set(rules.names())
