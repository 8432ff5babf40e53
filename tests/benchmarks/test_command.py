import json
from importlib.resources import files

import pytest
from click.testing import CliRunner

from muse_stream.streams.cli import main
from muse_stream.streams.cli.bench_command import PACKAGE, names, options_of

RUNNER = CliRunner()
HELPERS = {"__init__", "report", "esu_released", "ingest_peers"}


def test_every_benchmark_is_listed_and_every_other_module_is_a_helper_of_one() -> None:
    modules = {entry.name.removesuffix(".py") for entry in files(PACKAGE).iterdir() if entry.name.endswith(".py")}
    found = set(names())
    assert {"append", "footprint", "ingest", "read", "serve"} <= found
    of_one = {module for module in modules - HELPERS if any(module.startswith(f"{name}_") for name in found)}
    assert modules == found | of_one | (HELPERS & modules)
    listed = RUNNER.invoke(main, ["bench", "--help"]).output
    assert [name for name in found if f"\n  {name} " not in listed] == []


@pytest.mark.parametrize("name", names())
def test_every_benchmark_is_described(name: str) -> None:
    described = (files(PACKAGE) / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in described


@pytest.mark.parametrize("name", names())
def test_every_benchmark_can_be_asked_for_help(name: str) -> None:
    result = RUNNER.invoke(main, ["bench", name, "--help"])
    assert result.exit_code == 0, result.output
    assert "--json" in result.output


def test_options_are_the_simple_keywords_with_what_the_docstring_says_of_them() -> None:
    def run(sizes: tuple[int, ...] = (1,), *, rows: int = 3, names: str = "a,b", quick: bool = False) -> list[object]:
        """Rows.

        Args:
            sizes: Not simple.
            rows: How many
                there are.
            names: Which.

        Returns:
            Nothing: a word with a colon behind the arguments.

        """
        return [sizes, rows, names, quick]

    found = {option.name: getattr(option, "help", None) for option in options_of(run)}
    assert found == {"rows": "How many there are.", "names": "Which.", "quick": None}


def test_json_is_the_last_line_and_the_options_reach_the_benchmark() -> None:
    result = RUNNER.invoke(
        main, ["bench", "footprint", "--lengths", "600", "--behaviours", "6000", "--items", "50", "--json"]
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout.splitlines()[-1])["rows"]
    assert rows[0]["case"] == "history 600, 10 users, loaded"
    assert all(row["ours"] > 0 for row in rows if "growth of the process" not in row["case"])
