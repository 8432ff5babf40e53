"""What every page pool does with its users' records outside compiled code."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import I64, Flags, reserve
from muse_stream.gsu_engine.kernels import hashing
from muse_stream.gsu_engine.kernels import residents as kernels
from muse_stream.gsu_engine.kernels.residents import Residents

FIRST_BUCKETS = 1_024
USER_BYTES = 8 + 11  # id, and at most 10.7 bytes of buckets (see kernels.hashing); a record comes on top

Pool = TypeVar("Pool", bound=Any)  # a NamedTuple that is a Residents


def columns(users: int, record: np.dtype[Any], state: int) -> dict[str, NDArray[Any]]:
    """The arrays of `Residents`, by name, for so many users; `state` counters, of which page 1 is the next one."""
    counters = np.zeros(hashing.COUNTERS, np.int64)
    counters[hashing.NEXT] = 1
    counters[hashing.SEED] = np.random.default_rng().integers(-(2**63), 2**63 - 1)
    first = np.zeros(state, np.int64)
    first[kernels.NEXT_PAGE] = 1
    return {
        "ids": reserve((users + 1,), np.int64),
        "tags": np.zeros(FIRST_BUCKETS, np.uint8),
        "numbers": np.zeros(FIRST_BUCKETS, np.uint32),
        "counters": counters,
        "records": reserve((users + 1,), record),
        "state": first,
    }


def with_room(pool: Pool) -> Pool:
    """The same pool with buckets for one more user."""
    if (int(pool.counters[hashing.COUNT]) + 1) * 10 < len(pool.tags) * hashing.FULL_OF_TEN:
        return pool
    buckets = len(pool.tags) * 3 // 2
    tags, numbers = np.zeros(buckets, np.uint8), np.zeros(buckets, np.uint32)
    hashing.move(pool.ids, pool.tags, pool.numbers, tags, numbers, int(pool.counters[hashing.SEED]))
    changed: Pool = pool._replace(tags=tags, numbers=numbers)
    return changed


def resident(pool: Residents, users: I64) -> Flags:
    """`[n] bool`: which users are held."""
    out = np.empty(len(users), np.bool_)
    kernels.resident(pool, users, out)
    return out


def everybody(pool: Residents) -> I64:
    """All users held, in no order."""
    users: I64 = pool.ids[pool.numbers[pool.tags != 0]]
    return users


def spans(pool: Residents) -> tuple[I64, I64, I64]:
    """Users held, ascending, and the first position and the end of each one's run, `[n] int64` each."""
    numbers = pool.numbers[pool.tags != 0]
    users, records = pool.ids[numbers], pool.records[numbers]
    order = np.argsort(users)
    return users[order], records["start"][order], records["stop"][order]
