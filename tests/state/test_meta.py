"""A store's account of itself: the rules it was kept by, and what is there when its creation was cut short."""

from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from muse_stream.state import store as store_module
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import RuleChange, Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, plain_batch

WIDE, NARROW = Rules(cap=10), Rules(cap=2)


def reopen(path: Path, rules: Rules) -> list[RuleChange]:
    with closing(BehaviourStore.open(path, IDENTITY, rules)) as store:
        return store.rule_changes


def test_rules_that_held_for_no_record_are_remembered_because_they_removed(tmp_path: Path) -> None:
    with closing(BehaviourStore.open(tmp_path, IDENTITY, WIDE)) as store:
        store.append(plain_batch([7] * 6), position=6)
    reopen(tmp_path, NARROW)
    assert reopen(tmp_path, WIDE) == [RuleChange(0, WIDE), RuleChange(6, NARROW), RuleChange(6, WIDE)]
    with closing(BehaviourStore.open(tmp_path, IDENTITY, WIDE)) as store:
        assert store.sequence(7).start == 4


def test_rules_of_a_store_that_has_read_nothing_are_forgotten(tmp_path: Path) -> None:
    assert reopen(tmp_path, NARROW) == [RuleChange(0, NARROW)]
    assert reopen(tmp_path, WIDE) == [RuleChange(0, WIDE)]
    with closing(BehaviourStore.open(tmp_path, IDENTITY, NARROW, start_position=40)) as store:
        assert store.rule_changes == [RuleChange(40, NARROW)]
    assert reopen(tmp_path, WIDE) == [RuleChange(40, WIDE)]


def test_a_store_whose_creation_was_cut_short_is_readable_and_empty(tmp_path: Path) -> None:
    with mock.patch.object(store_module, "begin", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        BehaviourStore.open(tmp_path, IDENTITY, WIDE)
    with closing(StoreReader.open(tmp_path)) as reader:
        assert (reader.position, reader.users().tolist()) == (0, [])
    assert reopen(tmp_path, NARROW) == [RuleChange(0, NARROW)]
