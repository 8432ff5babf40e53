import json
from pathlib import Path

from click.testing import CliRunner

from muse_stream.streams.cli import main
from tests.streams.cli.test_train import DATA

RUNNER = CliRunner()


def test_a_set_is_trained_compared_and_written_down(tmp_path: Path) -> None:
    command = ["compare", "--set", "vectors", *DATA, "--k", "10", "--recent", "20", "--out", str(tmp_path / "out")]
    result = RUNNER.invoke(main, [*command, "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert said == json.loads((tmp_path / "out" / "vectors.json").read_text())
    assert [entry["name"] for entry in said["entries"]] == ["vectors-random", "muse"]
    assert said["against"] == "muse"
    assert said["entries"][0]["difference"]["value"] is not None
    assert said["entries"][1]["difference"] is None
    assert said["part"] == "test"
    again = RUNNER.invoke(main, command)
    assert again.exit_code == 0, again.output
    assert again.stdout.strip() == (tmp_path / "out" / "vectors.md").read_text().strip()
    assert "Made-up data" in again.stdout


def test_the_sets_are_explained() -> None:
    text = RUNNER.invoke(main, ["compare", "--help"]).output
    assert "gsu-metric   cosine, learned attention" in text
