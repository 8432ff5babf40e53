"""The reader of expressions finds what they read."""

import pytest

from tests.deploy.promql import read


def test_metrics_are_found_with_their_matchers_and_calls() -> None:
    found = read('1 - sum by (job, le) (rate(muse_a_bucket{le="0.1",job=~"x|y"}[5m] offset 1d)) / on (job) b').selectors
    assert [one.metric for one in found] == ["muse_a_bucket", "b"]
    assert found[0].matchers == (("le", "=", "0.1"), ("job", "=~", "x|y"))
    assert [(call.name, call.labels) for call in found[0].calls] == [("sum", ("job", "le")), ("rate", ())]
    assert found[0].aggregated
    assert not found[1].aggregated


def test_labels_of_joins_are_told_from_metrics() -> None:
    found = read("sum(a) / on (x) group_left (y) sum by (x) (job:b:rate5m > bool 0.5 or vector(1))")
    assert found.joined == {"x", "y"}
    assert [one.metric for one in found.selectors] == ["a", "job:b:rate5m"]


@pytest.mark.parametrize("expression", ["a", "topk(5, a)", "rate(a[5m])", "sum(b) / a", "histogram_quantile(0.9, a)"])
def test_what_no_aggregation_surrounds_is_raw(expression: str) -> None:
    assert not all(one.aggregated for one in read(expression).selectors)


@pytest.mark.parametrize("expression", ["sum (a) by (x)", "a # b"])
def test_what_is_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"write|not known"):
        read(expression)
