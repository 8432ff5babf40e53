"""Every page: its links lead somewhere, and what it tells one to type exists."""

import re
from pathlib import Path

import pytest

from muse_stream.streams.cli.bench_command import ALL, names
from tests.docs.commands import missing, text_of, words_of

ROOT = Path(__file__).parents[2]
ROOMS = ("docs", "deploy", "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *(page for room in ROOMS for page in (ROOT / room).rglob("*.md"))])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """Those that a forge makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page()
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@each_page()
def test_every_command_and_option_exists(page: Path) -> None:
    for words in words_of(text_of(page)):
        assert not missing(words), f"muse-stream {' '.join(words)}: there is no {missing(words)}"


@each_page()
def test_every_benchmark_exists(page: Path) -> None:
    assert set(re.findall(r"`bench ([a-z_]+)", text_of(page))) <= {*names(), ALL}


@each_page()
def test_every_target_of_make_exists(page: Path) -> None:
    assert set(re.findall(r"(?:`|^    )(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text_of(page), re.MULTILINE)) <= TARGETS


def test_the_readme_is_looked_at() -> None:
    readme = ROOT / "README.md"
    assert readme in PAGES
    assert len(list(words_of(text_of(readme)))) > 8


def test_a_command_that_does_not_exist_is_found() -> None:
    assert missing(["snapshot", "lst"]) == "lst"
    assert missing(["bench", "gus"]) == "gus"
    assert not missing(["bench", "NAME", "--json"])
    assert missing(["models", "rollback", "--wate", "120"]) == "--wate"
    assert not missing(["models", "rollback", "--wait", "120"])
