"""Replay: impressions in the order of their moments, logs up to each, samples out.

Invariant: every impression comes out once: as a sample, or left out for a reason.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from muse_stream.streams.export.columns import Taken
from muse_stream.streams.export.impressions import I64, NOBODY, Impressions
from muse_stream.streams.export.items import ItemsPast
from muse_stream.streams.export.moments import Group, groups, sweeps
from muse_stream.streams.export.past import Pasts, Seen
from muse_stream.streams.export.reasons import Reason
from muse_stream.streams.export.sampler import Sampler
from muse_stream.streams.export.searches import Wanted


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Impressions (numbers into them) that are not exported, and why."""

    rows: I64
    reason: Reason


class World(Protocol):
    """Everything that one sweep replays into; a new one for each.

    Attributes:
        now_ms: The time at which the logs' ends were read.

    """

    items: ItemsPast
    pasts: Pasts
    sampler: Sampler
    now_ms: int

    def close(self) -> None:
        """Give up scratch directories and connections."""
        ...


def replay(impressions: Impressions, open_world: Callable[[], World]) -> Iterator[Taken | LeftOut]:
    """Samples and what is left out, in the order of the moments.

    Raises:
        ExportError: A log stops giving before its end.
        KafkaError, StateError: The brokers, or a scratch store, do not do as they should.

    """
    reserved = np.flatnonzero(impressions.partition == NOBODY)
    if len(reserved):
        yield LeftOut(reserved, Reason.RESERVED)
    for order in sweeps(impressions):
        with closing(open_world()) as world:
            yield from _Sweep(world, impressions).run(order)


class _Sweep:
    def __init__(self, world: World, impressions: Impressions) -> None:
        self._world, self._impressions = world, impressions
        self._waiting: list[tuple[Group, Seen, int]] = []

    def run(self, order: I64) -> Iterator[Taken | LeftOut]:
        """All groups of the sweep."""
        for group in groups(self._impressions, order):
            if self._world.items.changes_before(group.moment):
                yield from self._compute()
            found = self._see(group)
            if isinstance(found, Reason):
                yield LeftOut(group.rows, found)
                continue
            wanted = Wanted(group.user, found, self._impressions.item[group.rows])
            if not self._world.sampler.takes(wanted):
                yield from self._compute()
            self._world.sampler.add(wanted)
            self._waiting.append((group, found, self._world.items.tape.position))
        yield from self._compute()

    def _see(self, group: Group) -> Seen | Reason:
        moment, world = group.moment, self._world
        if moment.behaviours is None and moment.time_ms > world.now_ms:
            return Reason.FUTURE
        items_refusal = world.items.reach(moment)
        found = world.pasts[group.partition].see(group.user, moment)
        return found if isinstance(found, Reason) else items_refusal or found

    def _compute(self) -> Iterator[Taken]:
        waiting, self._waiting = self._waiting, []
        for (group, seen, items), features in zip(waiting, self._world.sampler.compute(), strict=True):
            positions = (seen.behaviours_position, seen.users_position, items)
            yield Taken(group.rows, np.arange(len(group.rows)), features, group.partition, positions)
