import json
from pathlib import Path

from click.testing import CliRunner

from muse_stream.streams.cli import main

REFERENCE = str(Path(__file__).resolve().parents[2] / "esu_scorer" / "data" / "muse_reference.npz")
RUNNER = CliRunner()


def test_the_released_network_is_reproduced() -> None:
    result = RUNNER.invoke(main, ["parity", REFERENCE])
    assert result.exit_code == 0, result.output
    assert "tower_input" in result.output
    assert "TOO LARGE" not in result.output


def test_above_the_tolerance_it_fails_and_json_says_where() -> None:
    result = RUNNER.invoke(main, ["parity", REFERENCE, "--tolerance", "1e-9", "--json"])
    assert result.exit_code == 1
    report = json.loads(result.stdout.splitlines()[-1])
    assert not report["passed"]
    assert report["largest_error"] == max(stage["largest_error"] for stage in report["stages"])
    assert "is above 1e-09" in result.stderr


def test_a_file_that_is_no_reference_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"nothing")
    result = RUNNER.invoke(main, ["parity", str(path)])
    assert result.exit_code == 1
    assert "x.npz" in result.output
