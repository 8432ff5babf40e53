import json
from importlib import import_module
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from muse_stream.benchmarks.report import Row
from muse_stream.streams.cli import bench_command, main

RUNNER = CliRunner()


def quick_or_not(*, quick: bool = False) -> list[Row]:
    return [Row("quick" if quick else "whole", 1.0, "ms")]


def always() -> list[Row]:
    return [Row("always", 2.0, "ms")]


@pytest.fixture
def two_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {
        f"{bench_command.PACKAGE}.{name}": SimpleNamespace(run=run)
        for name, run in (("a", quick_or_not), ("b", always))
    }
    known = import_module
    monkeypatch.setattr(bench_command, "names", lambda: ["a", "b"])
    monkeypatch.setattr(bench_command, "import_module", lambda name: modules.get(name) or known(name))


def rows(*arguments: str) -> list[str]:
    result = RUNNER.invoke(main, ["bench", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [row["case"] for row in json.loads(result.stdout.splitlines()[-1])["rows"]]


@pytest.mark.usefixtures("two_benchmarks")
def test_one_all_and_quick() -> None:
    assert rows("a") == ["whole"]
    assert rows("all") == ["whole", "always"]
    assert rows("all", "--quick") == ["quick", "always"]


@pytest.mark.usefixtures("two_benchmarks")
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name="faiss")

    monkeypatch.setattr(bench_command, "import_module", missing)
    result = RUNNER.invoke(main, ["bench", "a"])
    assert result.exit_code == 1
    assert "needs faiss; install muse-stream[bench]" in result.output


def test_the_benchmarks_are_listed_with_their_first_line() -> None:
    output = RUNNER.invoke(main, ["bench"]).output
    assert "read " in output
    assert "report" not in output.split()
    assert all(len(line.split()) > 1 for line in output.splitlines())
