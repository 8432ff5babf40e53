import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.wire.decimals import decimals
from tests.streams.wire.helpers import seeded


@seeded
@given(st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_they_read_back_to_the_bit(values: list[float]) -> None:
    sent = np.array(values, np.float32)
    read = np.array(json.loads(json.dumps(decimals(sent).tolist())), np.float32)
    np.testing.assert_array_equal(read, sent)


def test_cosines_have_at_most_nine_digits() -> None:
    cosines = np.random.default_rng(1).uniform(-1, 1, (40, 50)).astype(np.float32)
    texts = [repr(value).strip("-0").replace(".", "").lstrip("0") for value in decimals(cosines).ravel().tolist()]
    assert max(map(len, texts)) <= 9
    assert decimals(cosines).shape == (40, 50)


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan, np.inf, 1.0])
def test_special_values_stay(value: float) -> None:
    np.testing.assert_array_equal(decimals(np.array([value], np.float32)), [value])
