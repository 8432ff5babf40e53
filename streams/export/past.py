"""A partition at one moment after the other: histories and profiles as its worker would have read them then.

Invariant: the store of a partition holds exactly the moment's prefixes when it is read, by the worker's own code: its
decoding, its store, its rules. It lies in a scratch directory and is bounded as a worker's is.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BehaviourBatch, Sequence
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.export.moments import Moment
from muse_stream.streams.export.reasons import Reason
from muse_stream.streams.export.tape import Piece, Tape
from muse_stream.streams.ingest.ports import Decode, DecodeUsers
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.users import decode_profile


@dataclass(frozen=True, slots=True)
class Seen:
    """What serving would have read of a user.

    Attributes:
        history: The live sequence.
        profile: Features as ids.
        behaviours_position: Next offset of the behaviours partition; -1 where it is not known.
        users_position: Next offset of the users partition.

    """

    history: Sequence
    profile: Mapping[str, int]
    behaviours_position: int
    users_position: int


class Past(Protocol):
    """A partition's past; moments come in the order of a sweep."""

    def see(self, user: int, moment: Moment) -> Seen | Reason:
        """What was known of a user then, or why that cannot be said."""
        ...

    def close(self) -> None:
        """Give the scratch directory up."""
        ...


@dataclass(frozen=True, slots=True)
class Codecs:
    """The worker's decoding of behaviours and users."""

    behaviours: Decode[BehaviourBatch]
    users: DecodeUsers


@dataclass(frozen=True, slots=True)
class Horizon:
    """Until when compaction of a topic can have reached.

    Attributes:
        compacted: Whether the topic is compacted at all.
        before_ms: Records of this broker time and later have superseded nothing that is gone.

    """

    compacted: bool
    before_ms: int

    def hides(self, tape: Tape) -> bool:
        """Whether a record that still counted where the tape stands may be gone.

        A record leaves a compacted log for a later one of the same key, and that one is older than the lag. If it lies
        before the tape's position it counts anyhow; behind it, it is missed where the next record is so old.
        """
        if not self.compacted or tape.gapless:
            return False
        following = tape.peek()
        return following is not None and following < self.before_ms


class Profiles:
    """The users topic of one partition, put into a store as the worker puts it."""

    def __init__(self, store: BehaviourStore, tape: Tape, decode: DecodeUsers, horizon: Horizon) -> None:
        self.tape = tape
        self._store, self._decode, self._horizon = store, decode, horizon

    def reach(self, moment: Moment) -> Reason | None:
        """Put what comes before the moment; why that is not enough, if it is not."""
        if moment.users is not None and moment.users > self.tape.end:
            return Reason.BEYOND_LOG
        for piece in self.tape.before(moment.users, moment.time_ms):
            users, profiles, _ = self._decode(piece.records())
            self._store.put_users(users, profiles, position=piece.position)
        return Reason.USERS_INCOMPLETE if self._horizon.hides(self.tape) else None


class LogPast:
    """A partition's past by replay of its log into a scratch store."""

    def __init__(
        self, store: BehaviourStore, behaviours: Tape, users: Tape, codecs: Codecs, users_horizon: Horizon
    ) -> None:
        self._store, self._tape, self._decode = store, behaviours, codecs.behaviours
        self._profiles = Profiles(store, users, codecs.users, users_horizon)
        self._decoded: tuple[RecordBatch, BehaviourBatch] | None = None

    def see(self, user: int, moment: Moment) -> Seen | Reason:
        """Bring the store to the moment and read it, as a request would."""
        if self._tape.begin > 0:
            return Reason.LOG_BEGINS_LATER
        if moment.behaviours is not None and moment.behaviours > self._tape.end:
            return Reason.BEYOND_LOG
        refusal = self._profiles.reach(moment)
        for piece in self._tape.before(moment.behaviours, moment.time_ms):
            self._store.append(self._rows(piece), position=piece.position)
        if refusal:
            return refusal
        with self._store.moment() as now:
            return Seen(
                now.sequence(user), decode_profile(now.profile(user)), self._tape.position, self._profiles.tape.position
            )

    def close(self) -> None:
        """Close the scratch store."""
        self._store.close()

    def _rows(self, piece: Piece) -> BehaviourBatch:
        """The behaviours of a piece; a batch of records is decoded once, whatever it is cut into."""
        if self._decoded is None or self._decoded[0] is not piece.batch:
            self._decoded = piece.batch, self._decode(piece.batch)[0]
        rows, offsets = self._decoded[1], piece.batch.offset
        low, high = (
            int(place) for place in rows.offset.searchsorted([offsets[piece.low], offsets[piece.high - 1] + 1])
        )
        return rows.rows(low, high)


def scratch_store(directory: Path, identity: StoreIdentity, rules: Rules, budget: StoreBudget) -> BehaviourStore:
    """A new store in the scratch directory."""
    return BehaviourStore.open(directory / f"behaviours-{identity.partition}", identity, rules, budget=budget)


class Pasts:
    """The pasts of all partitions, each opened at its first use."""

    def __init__(self, make: Callable[[int], Past]) -> None:
        self._make = make
        self._open: dict[int, Past] = {}

    def __getitem__(self, partition: int) -> Past:
        if partition not in self._open:
            self._open[partition] = self._make(partition)
        return self._open[partition]

    def close(self) -> None:
        """Close all of them."""
        for past in self._open.values():
            with closing(past):
                pass
