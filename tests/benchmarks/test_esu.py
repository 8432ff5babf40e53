import pytest

from muse_stream.benchmarks import esu
from muse_stream.benchmarks.esu_forms import EAGER, ONNX, RELEASED


def test_all_forms_agree_and_are_compared_per_count() -> None:
    pytest.importorskip("onnxruntime")
    rows = esu.run((1, 3), seconds_per_case=0.0, items=2000, forms=(RELEASED, EAGER, ONNX))
    cases = [row.case.split(" (")[0] for row in rows]
    each = ["score C=1", "score C=3", "score C=3, all behaviours distinct"]
    forms = [f"{case}{name}" for case in each for name in ("", f", {EAGER}", f", {ONNX}")]
    assert cases == [*forms, "Python's pace beside scoring C=1,000"]
    assert all(row.best_peer_name == RELEASED and row.ours for row in rows[:-1])
