"""Runbooks: one per alert, of one form, and nothing in them that does not exist: settings, metrics, alerts, queries."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import rules
from tests.deploy.promtool import needs_promtool, promtool
from tests.deploy.test_rules import metrics_in
from tests.docs.commands import text_of

PAGES = sorted(rules.RUNBOOKS.glob("Muse*.md"))
INDEX = rules.RUNBOOKS / "README.md"
SLOS = rules.ROOT / "docs" / "slos.md"
PARTS = ("What it means", "First look", "Likely causes, in order", "What to do", "Escalate")
SECTIONS = "app|kafka|topics|state|snapshots|ingest|items|features|engine|model|serving|http|monitoring|canary"
_QUERY = re.compile(r"^    (?=\S*(?:muse_|job:muse_|up\{|process_|sum|max|min|count|topk|deriv|changes))", re.MULTILINE)


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert [page.stem for page in PAGES] == sorted(rules.names())


@each_page()
def test_a_page_has_all_parts_and_something_in_each(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == PARTS
    assert len(text.split()) > 100, "too short to be of use"
    assert text.count("\n") < 70, "too long to be read at night"
    assert "muse-stream " in text, "none of our commands"
    for part in text.split("\n## ")[1:]:
        assert len(part.split("\n", 1)[1].split()) >= 4


def test_a_page_says_what_its_rules_say_of_the_severity() -> None:
    for alert in rules.alerts():
        said = (rules.RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8").split("**")[1]
        assert alert.labels["severity"] in said.lower(), alert.name


def test_every_metric_exists() -> None:
    known = {definition.name for definition in rules.catalogue()}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert metrics_in(text) <= known, page.stem


def test_every_alert_that_a_page_sends_to_exists() -> None:
    for page in PAGES:
        named = set(re.findall(r"\bMuse[A-Z]\w+", page.read_text(encoding="utf-8")))
        assert named <= set(rules.names()), page.stem


def test_every_setting_exists() -> None:
    settings = (rules.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for page in PAGES:
        for name in re.findall(rf"`((?:{SECTIONS})\.[a-z_.]+)[:`]", text_of(page)):
            assert f"`{name}`" in settings, f"{page.stem}: {name}"


def queries(page: Path) -> Iterator[str]:
    """Blocks of PromQL; a line that is further in belongs to the one before."""
    for block in re.findall(r"(?:^    .+\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
        for query in re.split(r"\n(?=    \S)", block.rstrip("\n")):
            if _QUERY.match(query):
                yield " ".join(query.split())


@needs_promtool
def test_every_query_is_promql(tmp_path: Path) -> None:
    asked = [(page.stem, query) for page in PAGES for query in queries(page)]
    assert len(asked) >= 2 * len(PAGES)
    lines = [f"  - record: muse:q{number}\n    expr: |-\n      {query}\n" for number, (_, query) in enumerate(asked)]
    path = tmp_path / "queries.yml"
    path.write_text("groups:\n- name: queries\n  rules:\n" + "".join(lines), encoding="utf-8")
    passed, text = promtool("check", "rules", path)
    assert passed, text


def test_the_index_lists_every_alert_with_its_severity() -> None:
    text = INDEX.read_text(encoding="utf-8")
    for name in rules.names():
        severities = [alert.labels["severity"] for alert in rules.alerts() if alert.name == name]
        assert f"| [{name}]({name}.md) | {', '.join(severities)} |" in text


def test_the_page_of_service_levels_says_the_goals_that_are_recorded() -> None:
    text = SLOS.read_text(encoding="utf-8")
    for name, expr in rules.records().items():
        if name.endswith(":objective"):
            goal = 100 * float(expr.removeprefix("vector(").removesuffix(")"))
            assert re.search(rf"\| {goal:g} % \| `{name}` \|", text), name
