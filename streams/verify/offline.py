"""Over whole logs, once: answers in the order of their moments, the logs up to each.

Invariant: every answer of the ledger comes out once: as a verdict, or as not rebuildable.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Protocol

from muse_stream.streams.export.items import ItemsPast
from muse_stream.streams.export.moments import I64, Moment, sweeps
from muse_stream.streams.export.past import Pasts, Seen
from muse_stream.streams.export.reasons import Reason
from muse_stream.streams.verify.compare import Verdict, compare
from muse_stream.streams.verify.exchanges import Exchange
from muse_stream.streams.verify.ledger import Ledger
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.verify.rebuild import Rebuilder


class World(Protocol):
    """Everything that one sweep replays into; a new one for each.

    Attributes:
        partitions: Those that the topics have.

    """

    items: ItemsPast
    pasts: Pasts
    rebuilder: Rebuilder
    partitions: range

    def close(self) -> None:
        """Give up scratch directories."""
        ...


def verify(ledger: Ledger, open_world: Callable[[], World]) -> Iterator[Verdict | Unknown]:
    """What becomes of every answer, in the order of the moments.

    Raises:
        ExportError: A log stops giving before its end.
        KafkaError, StateError: The brokers, or a scratch store, do not do as they should.

    """
    for order in sweeps(ledger):
        with closing(open_world()) as world:
            yield from _Sweep(world, ledger).run(order)


class _Sweep:
    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world, self._ledger = world, ledger

    def run(self, order: I64) -> Iterator[Verdict | Unknown]:
        """All answers of the sweep."""
        rebuilder = self._world.rebuilder
        for number in order.tolist():
            _, exchange = self._ledger.exchange(number)
            if isinstance(exchange, Unknown):
                yield exchange
                continue
            moment = _moment(exchange)
            if self._world.items.changes_before(moment):
                yield from self._compute()
            seen = self._see(exchange, moment)
            if isinstance(seen, Unknown):
                yield seen
                continue
            if not rebuilder.takes(exchange, seen):
                yield from self._compute()
            rebuilder.add(exchange, seen)
        yield from self._compute()

    def _see(self, exchange: Exchange, moment: Moment) -> Seen | Unknown:
        world = self._world
        if exchange.partition not in world.partitions:
            return Unknown.BEYOND_LOG
        if not world.rebuilder.knows(exchange):
            return Unknown.SPACE_UNKNOWN
        items_refusal = world.items.reach(moment)
        found = world.pasts[exchange.partition].see(exchange.request.user, moment)
        if isinstance(found, Reason):
            return Unknown(found.value)
        return Unknown(items_refusal.value) if items_refusal else found

    def _compute(self) -> Iterator[Verdict]:
        for exchange, rebuilt in self._world.rebuilder.compute():
            yield compare(exchange, rebuilt)


def _moment(exchange: Exchange) -> Moment:
    at = exchange.positions
    return Moment(0, at.behaviours.offset, at.users, at.items)
