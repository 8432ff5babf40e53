import re
from collections import Counter

import numpy as np
import pytest

from muse_stream.streams.demo.dataset import PURCHASE, RETURN, OnlineRetail, load


@pytest.fixture(scope="module")
def retail() -> OnlineRetail:
    return load()


def test_counts_are_those_of_the_readme(retail: OnlineRetail) -> None:
    behaviours = retail.behaviours
    longest = Counter(behaviours.user.tolist()).most_common(1)[0]
    assert len(behaviours) == 32_181
    assert int((behaviours.action == RETURN).sum()) == 880
    assert int((behaviours.action == PURCHASE).sum()) == 32_181 - 880
    assert len(retail.customers.user) == 1_041
    assert len(retail.catalogue) == 2_501
    assert longest == (12748, 684)


def test_log_order_is_kept(retail: OnlineRetail) -> None:
    assert (np.diff(retail.behaviours.event_time_ms) >= 0).all()
    assert retail.behaviours.user[0] == 17850


def test_rows_point_into_the_catalogue(retail: OnlineRetail) -> None:
    behaviours, catalogue = retail.behaviours, retail.catalogue
    assert np.array_equal(catalogue.item[behaviours.row], behaviours.item)
    assert np.array_equal(catalogue.category[behaviours.row], behaviours.category)
    assert catalogue.title[int(behaviours.row[0])] == "WHITE HANGING HEART T-LIGHT HOLDER"


def test_ids_are_integers_or_hashes_and_distinct(retail: OnlineRetail) -> None:
    ids = dict(zip(retail.catalogue.code, retail.catalogue.item.tolist(), strict=True))
    assert ids["71053"] == 71053
    assert all((ids[code] == int(code)) == bool(re.fullmatch(r"\d+", code)) for code in ids if code.isdigit())
    assert len(set(ids.values())) == len(ids)
    assert 0 not in ids.values()


def test_one_users_rows(retail: OnlineRetail) -> None:
    mine = retail.behaviours.of(12748)
    assert len(mine) == 684
    assert set(mine.user.tolist()) == {12748}


def test_every_item_has_a_vector_a_title_and_a_category(retail: OnlineRetail) -> None:
    catalogue = retail.catalogue
    assert catalogue.vectors.shape == (2_501, 128)
    assert catalogue.vectors.dtype == np.int8
    assert (np.abs(catalogue.vectors.astype(np.int16)).max(axis=1) == 127).all()
    assert all(catalogue.title)
    assert int(catalogue.category.min()) == 1
    assert set(catalogue.price_band.tolist()) == set(range(1, 11))


def test_titles_are_found_by_id(retail: OnlineRetail) -> None:
    assert retail.catalogue.title_of(71053) == "WHITE METAL LANTERN"
    assert retail.catalogue.title_of(4) == "4"


def test_countries(retail: OnlineRetail) -> None:
    countries = dict(zip(retail.customers.user.tolist(), retail.customers.country, strict=True))
    assert countries[17850] == "United Kingdom"
    assert len(set(countries.values())) == 23
