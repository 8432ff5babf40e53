"""The store once more, plain: dictionaries of lists, one row at a time."""

from dataclasses import dataclass, field

import numpy as np

from muse_stream.state.columns import BEHAVIOUR, BehaviourBatch, Sequence
from muse_stream.state.rules import Rules

Row = tuple[int, int, int, int, int]


@dataclass
class Model:
    rules: Rules
    position: int = 0
    watermark_ms: int = 0
    following: dict[int, int] = field(default_factory=dict)
    rows: dict[int, list[Row]] = field(default_factory=dict)
    seen: list[tuple[int, int]] = field(default_factory=list)
    duplicates: int = 0

    def feed(self, batch: BehaviourBatch, position: int) -> None:
        for row in range(len(batch)):
            if batch.offset[row] >= self.position:
                self._feed_row(batch, row)
        self.position = max(position, self.position)

    def change_rules(self, rules: Rules) -> None:
        self._settle()
        self.rules = rules
        self._settle()

    def sequence(self, user: int, last: int | None = None) -> Sequence:
        self._settle()
        rows = self.rows.get(user, [])
        rows = rows if last is None else rows[len(rows) - min(last, len(rows)) :]
        return Sequence(self.following.get(user, 0) - len(rows), np.array(rows, BEHAVIOUR))

    def _feed_row(self, batch: BehaviourBatch, row: int) -> None:
        user, event_id = int(batch.user[row]), int(batch.event_id[row])
        self.watermark_ms = max(self.watermark_ms, int(batch.broker_time_ms[row]))
        if batch.erase[row]:
            self.rows[user] = []
            self.following.setdefault(user, 0)
        elif event_id and (user, event_id) in self.seen:
            self.duplicates += 1
        else:
            if event_id:
                self.seen.append((user, event_id))
            columns = batch.item, batch.time_ms, batch.action, batch.category
            item, time_ms, action, category = (int(column[row]) for column in columns)
            arrived_seconds = self.watermark_ms // 1_000
            self.rows.setdefault(user, []).append((item, time_ms, action, category, arrived_seconds))
            self.following[user] = self.following.get(user, 0) + 1
            self._settle(user)

    def _settle(self, user: int | None = None) -> None:
        window = self.rules.duplicate_window
        self.seen = self.seen[-window:] if window else []
        ttl_seconds = self.rules.ttl_seconds
        oldest = 0 if ttl_seconds is None else self.watermark_ms // 1_000 - ttl_seconds
        for each in self.rows if user is None else [user]:
            self.rows[each] = [row for row in self.rows[each] if row[4] >= oldest][-self.rules.cap :]


def same(found: Sequence, expected: Sequence) -> bool:
    return found.start == expected.start and found.rows.tolist() == expected.rows.tolist()
