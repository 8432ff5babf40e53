import pytest

from muse_stream.esu_scorer import Feature, FeatureSpec
from muse_stream.esu_scorer.errors import FeatureError


def test_the_released_features_are_308_wide_with_the_other_blocks() -> None:
    spec = FeatureSpec.taobao_mm()
    assert spec.candidate_names == ("item", "category", "213", "214")
    assert spec.user_names == ("129_1", "130_1", "130_2", "130_3", "130_4", "130_5")
    assert (spec.candidate_width, spec.user_width) == (64, 72)
    assert 4 * 2 * spec.width + spec.candidate_width + spec.user_width + 2 * 22 == 308


def test_a_spec_keeps_the_order_given() -> None:
    spec = FeatureSpec.of({"item": 4, "category": 4, "band": 2}, {"country": 3})
    assert spec.features == (Feature("item", 4), Feature("category", 4), Feature("band", 2), Feature("country", 3))


@pytest.mark.parametrize(
    ("candidate", "user", "told"),
    [
        ({"category": 4, "item": 4}, {}, "must begin with 'item', 'category'"),
        ({"item": 4}, {}, "must begin with"),
        ({"item": 4, "category": 8}, {}, "one width"),
        ({"item": 4, "category": 4, "a b": 1}, {}, "'a b'"),
        ({"item": 4, "category": 4}, {"country": 0}, "'country' has embedding width 0"),
        ({"item": 4, "category": 4}, {"item": 4}, "'item' occurs twice"),
    ],
)
def test_impossible_lists_are_refused(candidate: dict[str, int], user: dict[str, int], told: str) -> None:
    with pytest.raises(FeatureError, match=told):
        FeatureSpec.of(candidate, user)
