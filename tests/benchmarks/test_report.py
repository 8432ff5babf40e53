import json
from collections.abc import Callable

import pytest

from muse_stream.benchmarks.report import Row, higher_is_better, lower_is_better, show


def test_a_time_half_as_long_as_the_best_peers_is_twice_as_good() -> None:
    row = lower_is_better("read", 2.0, "ms", {"slow": 9.0, "fast": 4.0})
    assert (row.best_peer_name, row.best_peer, row.ratio) == ("fast", 4.0, 2.0)


def test_a_rate_half_as_high_as_the_best_peers_is_half_as_good() -> None:
    row = higher_is_better("ingest", 50.0, "behaviours/s", {"slow": 10.0, "fast": 100.0})
    assert (row.best_peer_name, row.best_peer, row.ratio) == ("fast", 100.0, 0.5)


@pytest.mark.parametrize("compare", [lower_is_better, higher_is_better])
def test_without_a_peer_nothing_is_compared(compare: Callable[[str, float, str, dict[str, float]], Row]) -> None:
    assert compare("alone", 3.0, "ms", {}) == Row("alone", 3.0, "ms", None, None, None)


def test_json_is_one_last_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [lower_is_better(f"case [{number}] " + "x" * 100, 1.0, "ms", {"peer": 2.0}) for number in range(20)]
    show(rows, as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    first = json.loads(line)["rows"][0]
    assert first["case"].startswith("case [0]")
    assert set(first) == {"case", "ours", "unit", "best_peer_name", "best_peer", "ratio"}


def test_the_table_names_the_peer_and_by_how_much_ours_is_better(capsys: pytest.CaptureFixture[str]) -> None:
    show([lower_is_better("read", 1.0, "ms", {"key per behaviour": 18.6}), Row("alone", 1234.0, "ms")])
    out = capsys.readouterr().out
    assert "key per behaviour" in out
    assert "18.60 x" in out
    assert "1,234" in out
