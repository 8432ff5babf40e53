"""A log in equal batches, a store that took them one by one, and what it must hold at each position."""

from functools import cache

import numpy as np

from muse_stream.state.budget import StoreBudget
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import hashed_log
from tests.state.model import Model, same

RULES = Rules(cap=50, duplicate_window=300)
BUDGET = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=8 << 20)
BATCHES, ROWS, USERS = 90, 20, 40


def write(store: BehaviourStore, batch: int) -> None:
    """One append, and a profile that names its number."""
    begin = batch * ROWS
    store.append(hashed_log(begin, begin + ROWS, USERS), position=begin + ROWS)
    store.put_users(np.array([batch % USERS]), [b"%d" % batch], position=batch + 1)


def go_on(store: BehaviourStore) -> None:
    """Write whatever the store lacks."""
    for batch in range(min(store.position // ROWS, store.users_position), BATCHES):
        write(store, batch)


@cache
def truth() -> dict[int, Model]:
    """What the store is at each position."""
    found = {0: Model(RULES)}
    model = Model(RULES)
    for end in range(ROWS, BATCHES * ROWS + 1, ROWS):
        model.feed(hashed_log(end - ROWS, end, USERS), end)
        rows = {user: list(kept) for user, kept in model.rows.items()}
        found[end] = Model(RULES, end, model.watermark_ms, dict(model.following), rows, list(model.seen))
    return found


def check(store: BehaviourStore) -> None:
    """The store is what the log says up to its positions, on every path that reads it."""
    model = truth()[store.position]
    assert store.watermark_ms == model.watermark_ms
    with store.moment() as moment:
        assert moment.users().tolist() == sorted(model.rows)
        for user in range(USERS):
            assert same(moment.sequence(user), model.sequence(user)), user
            told = [batch for batch in range(store.users_position) if batch % USERS == user]
            assert moment.profile(user) == (b"%d" % told[-1] if told else None)
    window = store._window
    order = np.arange(window._total - len(window), window._total) % window.size
    assert window._ring[order].tolist() == model.seen
