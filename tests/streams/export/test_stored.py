"""Histories out of stores: what the log gives, or left out."""

import random
from pathlib import Path
from typing import Any

import pytest

from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.errors import ExportError
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from tests.streams.export.logs import (
    PARTITIONS,
    START_MS,
    Logs,
    batch_of,
    mixed,
    run,
    settings_of,
    shown,
)

USERS: list[Any] = [1, 2, 3, "anna", "bert", "nobody"]


def stores(directory: Path, logs: Logs, rules: Rules | None = None, short: int = 0) -> Any:
    """Stores of all partitions, read to `short` records before the log's end; the settings that name them."""
    rules = rules or Rules()
    for number in range(PARTITIONS):
        at = ("behaviours", number)
        end = len(logs.records.get(at, [])) - short
        identity = StoreIdentity("cluster", "behaviours", number, PARTITIONS)
        store = BehaviourStore.open(directory / f"behaviours-{number}", identity, rules)
        rows, _ = decode_behaviours(batch_of(at, logs.seen(at)[:end], end), BehaviourRules(PARTITIONS))
        if end > 0:
            store.append(rows, position=end)
        store.close()
    more = {"state.cap": rules.cap, "state.ttl_seconds": rules.ttl_seconds}
    return settings_of(**more, **{"state.directory": str(directory)})


@pytest.mark.parametrize("seed", range(4))
def test_what_stores_give_is_what_the_log_gives(tmp_path: Path, seed: int) -> None:
    logs, dice = mixed(seed, erasures=seed == 0), random.Random(seed)
    named = stores(tmp_path, logs, Rules(cap=[9, 9, 100, 100][seed]))
    last = max(one.broker_time_ms for log in logs.records.values() for one in log)
    shows = shown([(dice.choice(USERS), 3, dice.randint(START_MS, last + 2_000)) for _ in range(60)])
    by_store, by_log = run(logs, shows, named, origin="stores"), run(logs, shows, named)
    assert by_log.left_out == {}
    assert set(by_store.left_out.values()) <= {"same_second", "trimmed"}
    assert len(by_store.samples) > [5, 10, 20, 20][seed]
    for row, sample in by_store.samples.items():
        assert {**sample, "behaviours_position": 0} == {**by_log.samples[row], "behaviours_position": 0}


def test_a_store_that_stands_before_the_logs_end_does_not_speak_of_later(tmp_path: Path) -> None:
    logs = Logs()
    for second in range(5):
        logs.behave(1, 1 + second, START_MS + 1_000 * second)
    named = stores(tmp_path, logs, short=2)
    shows = shown([(1, 3, START_MS + 2_000), (1, 3, START_MS + 3_000)])
    ran = run(logs, shows, named, origin="stores")
    assert ran.left_out == {2: "store_ends_earlier"}
    assert ran.samples[1]["history_item"] == [1, 2]


def test_what_was_trimmed_or_erased_is_left_out(tmp_path: Path) -> None:
    logs = Logs()
    for second in range(5):
        logs.behave(1, 1 + second, START_MS + 1_000 * second)
    logs.behave(3, 1, START_MS)
    logs.erase(3, START_MS + 1_000)
    named = stores(tmp_path, logs, Rules(cap=3))
    shows = shown([(1, 3, START_MS + 4_000), (1, 3, START_MS + 9_000), (3, 3, START_MS + 1_000)])
    ran = run(logs, shows, named, origin="stores")
    assert ran.left_out == {1: "trimmed", 3: "trimmed"}
    assert ran.samples[2]["history_item"] == [3, 4, 5]


def test_stores_that_cannot_say_are_refused(tmp_path: Path) -> None:
    logs = mixed(0)
    shows = shown([(1, 3, START_MS)])
    with pytest.raises(ExportError, match="is not there; name the directory"):
        run(logs, shows, settings_of(**{"state.directory": str(tmp_path / "none")}), origin="stores")
    with pytest.raises(ExportError, match="has a time to live; export from the log"):
        run(logs, shows, stores(tmp_path / "ttl", logs, Rules(ttl_seconds=9)), origin="stores")
    placed = shown([(1, 3, START_MS)], [(0, 0, 0)])
    with pytest.raises(ExportError, match="no positions of served answers"):
        run(logs, placed, stores(tmp_path / "plain", logs), origin="stores")
