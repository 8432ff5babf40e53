import ast
import json
from importlib.resources import files

import pytest
from click.testing import CliRunner

from muse_stream.streams.cli import main
from muse_stream.streams.cli.bench_command import PACKAGE, names, options_of

RUNNER = CliRunner()


def test_every_module_with_a_run_is_listed_and_no_other() -> None:
    listed = RUNNER.invoke(main, ["bench", "--help"]).output
    for entry in files(PACKAGE).iterdir():
        if entry.name.endswith(".py"):
            tree = ast.parse(entry.read_text(encoding="utf-8"))
            runs = any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body)
            assert (f"\n  {entry.name.removesuffix('.py')} " in listed) == runs, entry.name
    assert "serve" in names()


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
