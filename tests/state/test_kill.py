"""A process that dies by kill -9 while it writes leaves an exact prefix of the log; the next one goes on from it."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log
from tests.state.model import Model, same

RULES = Rules(cap=500, duplicate_window=300)
STEP = 150

WRITER = """
import sys
from contextlib import closing
from pathlib import Path
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log
from tests.state.test_kill import RULES, STEP

store = BehaviourStore.open(Path(sys.argv[1]), IDENTITY, RULES)
while True:
    begin = max(store.position - 40, 0)
    store.append(hashed_log(begin, begin + STEP), position=begin + STEP)
    print(store.position, flush=True)
"""


def write_until_killed(path: Path, lines: int) -> int:
    """Let a writer report `lines` positions, then kill it in the middle of what it does; the last one it reported."""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            reported = writer.stdout.readline()
        writer.kill()
        rest = writer.stdout.read().splitlines(keepends=True)
    whole = [line for line in [reported, *rest] if line.endswith("\n")]
    return int(whole[-1])


def test_every_kill_leaves_an_exact_prefix(tmp_path: Path) -> None:
    model = Model(RULES)
    for lines in (1, 30, 57):
        reported = write_until_killed(tmp_path, lines)
        store = BehaviourStore.open(tmp_path, IDENTITY, RULES)
        assert reported <= store.position <= reported + STEP
        model.feed(hashed_log(model.position, store.position), store.position)
        assert store.watermark_ms == model.watermark_ms
        for user in range(40):
            assert same(store.sequence(user), model.sequence(user)), user
        store.close()


class _DyingAfterAWrite:
    """A database whose process ends right after a write."""

    def __init__(self, db: Any) -> None:
        self.db = db

    def write(self, batch: Any) -> None:
        self.db.write(batch)
        raise SystemExit

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


def test_a_death_after_any_write_leaves_an_exact_prefix(tmp_path: Path) -> None:
    model = Model(RULES)
    profiles: dict[int, bytes] = {}
    for turn in range(30):
        store = BehaviourStore.open(tmp_path, IDENTITY, RULES)
        db = store._database.db
        store._database.db = cast("Any", _DyingAfterAWrite(db))
        with pytest.raises(SystemExit):
            store.append(hashed_log(store.position, store.position + STEP), position=store.position + STEP)
        with pytest.raises(SystemExit):
            store.put_users(np.array([turn]), [b"%d" % turn], position=turn + 1)
        store._database.db = db
        store.close()
        profiles[turn] = b"%d" % turn
        with closing(BehaviourStore.open(tmp_path, IDENTITY, RULES)) as again:
            model.feed(hashed_log(model.position, again.position), again.position)
            assert again.users_position == turn + 1
            with again.moment() as moment:
                assert all(same(moment.sequence(user), model.sequence(user)) for user in range(40))
                assert all(moment.profile(user) == profile for user, profile in profiles.items())
    assert model.position == 30 * STEP
