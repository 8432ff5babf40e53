"""Time of exact top-K searches on a GPU, for one user and for many at once, beside other libraries' on the same GPU.

Two figures per case. End to end: from host arrays to host arrays, of ours the whole call. On the device: by CUDA
events, from the start of the first launch to the end of the last one. `limit_ms` is what the device needs at least by
its datasheet, `measured_limit_ms` by what was measured in the same run (see `gpu_limits`); `of_limit` and `of_measured`
are the parts of our time that these are. Warm: the same users again and again. Cold: the device's cache is emptied
before each call, and sets of users take turns. No question comes twice, so no answer of ours stands.

The best peer of a row is the fastest one that is exact and has found all of the K best; `fastest_peer` is the fastest
of all, 16-bit floats among them. Ours must be right, and all of ours the same to the bit, or the run fails.

The rows of small searches come first: they choose the way that "ours, CUDA" takes, by launches or by captured graphs.
Beside it, "ours, CUDA by launches" and "ours, CUDA by graphs" always take the one or the other where there is one.

Where no GPU can be used, the first row says why, and all figures are empty.

    python -m muse_stream.benchmarks.gpu --json     needs numpy and numba, and what is to be compared with
"""

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from muse_stream.benchmarks import gpu_append, gpu_limits, gpu_machine, gpu_ways, performance
from muse_stream.benchmarks.gpu_cases import Case, Group, cases, groups
from muse_stream.benchmarks.gpu_cell import FIGURES, Taken, cell, line
from muse_stream.benchmarks.gpu_clock import EventClock
from muse_stream.benchmarks.gpu_device import Metered
from muse_stream.benchmarks.gpu_limits import Limits
from muse_stream.benchmarks.gpu_ours import ARRAY, CPU, CUDA, Ours, by_one_way, open_metered
from muse_stream.benchmarks.gpu_peer import Peer, Place
from muse_stream.benchmarks.gpu_peers import PEERS, make_peers
from muse_stream.benchmarks.gpu_rounds import WARM_UPS, check, take_turns, way_of_ours, way_of_peer
from muse_stream.benchmarks.gpu_world import World
from muse_stream.benchmarks.report import Line
from muse_stream.gsu_engine.backends.cpu import CpuBackend
from muse_stream.gsu_engine.backends.cuda import CudaBackend
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda.cupy_device import open_device

ITEMS = 4_000_000  # their vectors are ten times the cache of an H200
USERS = 64
QUICK_ROUNDS = 3
LENGTHS, CANDIDATES, MANY = "100000", "1,10,100,500,1000,2000", "500,1000,2000"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    groups: tuple[Group, ...]
    k: int
    items: int
    dimension: int
    peers: tuple[str, ...]
    rounds: int

    def empty(self) -> Iterator[Line]:
        """All rows without figures."""
        for group in self.groups:
            for case in cases(group, self.k):
                yield from (cell(case, figure, Taken()) for figure in FIGURES)
        yield from gpu_ways.empty()
        yield from gpu_append.empty()


@dataclass(frozen=True, slots=True)
class Rig:
    """On what to measure.

    Attributes:
        place: Where peers run, and by whose clock.
        limits: By the datasheet, and measured.
        backends: Ours by name, the first one is the one whose figures are shown.
        open_metered: Opens a device for the first one's metered twin; None where there is none.

    """

    place: Place
    limits: tuple[Limits, Limits]
    backends: Mapping[str, str | Backend]
    open_metered: Callable[[], Metered] | None = None


def run(
    *,
    lengths: str = LENGTHS,
    candidates: str = CANDIDATES,
    many: str = MANY,
    users: int = USERS,
    k: int = 50,
    dimension: int = 128,
    items: int = ITEMS,
    peers: str = ";".join(PEERS),
    rounds: int = 50,
    quick: bool = False,
) -> list[Line]:
    """Two rows per case, and those of appends: median milliseconds.

    Args:
        lengths: Behaviours per history, separated by commas.
        candidates: Candidates of one user, separated by commas.
        many: Candidates of each of 32 users, separated by commas.
        users: In the largest groups; half as many in the one with large questions.
        k: Results per candidate.
        dimension: Width of a vector.
        items: Items in the table.
        peers: The libraries to compare with, separated by semicolons.
        rounds: Calls per case that count, at least; slow ways are called less often.
        quick: Three rounds.

    """
    each = [groups(length, _numbers(candidates), _numbers(many), users) for length in _numbers(lengths)]
    wanted = tuple(peers.split(";")) if peers else ()
    flat = tuple(group for some in each for group in some)
    plan = Plan(flat, k, items, dimension, wanted, QUICK_ROUNDS if quick else rounds)
    machine = gpu_machine.look()
    known = gpu_limits.datasheet(machine.device)
    if machine.device is None:
        print(f"nothing is measured: {machine.why}", file=sys.stderr)  # noqa: T201
        return [machine, *gpu_limits.rows(known, Limits()), *plan.empty()]
    place = Place("cuda", importlib.import_module("cupy"), EventClock())
    seen = gpu_limits.measured(place.clock)
    rows = [machine, *gpu_limits.rows(known, seen)]
    rows += gpu_ways.measured(CudaBackend(CpuBackend(), open_device), dimension, k)
    ours: dict[str, str | Backend] = {CUDA: "cuda", **by_one_way(open_device), ARRAY: "array-cuda", CPU: "cpu"}
    return rows + list(measured(plan, Rig(place, (known, seen), ours, open_metered)))


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def measured(plan: Plan, rig: Rig) -> Iterator[Line]:
    """All rows."""
    world = World(plan.items, plan.dimension)
    first, *_ = rig.backends
    ours = {
        name: Ours.of(world, backend, rig.open_metered if name == first else None)
        for name, backend in rig.backends.items()
    }
    for group in plan.groups:
        stage = _Stage.of(world, group, plan.peers, rig, ours)
        for case in cases(group, plan.k):
            taken = stage.measure(case, plan)
            for figure in FIGURES:
                found = cell(case, figure, taken)
                print(line(found), file=sys.stderr)  # noqa: T201
                yield found
        del stage
        rig.place.release()
    yield from gpu_append.measured(world, ours[first], plan.rounds)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A group's users, resident with ours, and the peers of each set of them."""

    world: World
    rig: Rig
    sets: list[list[int]]
    ours: Mapping[str, Ours]
    peers: list[dict[str, Peer]]

    @classmethod
    def of(cls, world: World, group: Group, peers: Sequence[str], rig: Rig, ours: Mapping[str, Ours]) -> "_Stage":
        sets = world.sets(group)
        for one in ours.values():
            one.enter([user for users in sets for user in users])
        return cls(world, rig, sets, ours, [make_peers(world.rows(users), rig.place, peers) for users in sets])

    def measure(self, case: Case, plan: Plan) -> Taken:
        """All ways: tuned, checked, then in turns."""
        clock, first = self.rig.place.clock, self.world.question(self.sets[0], case.candidates)
        for peer in () if case.cold else (peer for some in self.peers for peer in some.values()):
            peer.tune(peer.prepare(first.asked), case.k, clock)  # what is best when warm is kept when cold
        recalls = check(self.ours, self.peers[0], self.world.rows(self.sets[0]), first, case.k)
        ways = {name: way_of_ours(way, case.k) for name, way in self.ours.items()}
        for name in self.peers[0]:
            ways[name] = way_of_peer([some[name] for some in self.peers], case.k, clock)
        turns = [number % (len(self.sets) if case.cold else 1) for number in range(WARM_UPS + plan.rounds)]
        asked = ((number, self.world.question(self.sets[number], case.candidates)) for number in turns)
        times = take_turns(ways, asked, clock, cold=case.cold)
        for way in self.ours.values():
            way.require_device()
        limits = [limits.seconds(case.group.lengths, case.candidates, plan.dimension) for limits in self.rig.limits]
        exact = frozenset(name for name, peer in self.peers[0].items() if peer.exact and recalls[name] == 1)
        return Taken(times, recalls, (limits[0], limits[1]), exact, next(iter(self.ours)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The same as a command that needs no other library than the benchmark."""
    parser = argparse.ArgumentParser("python -m muse_stream.benchmarks.gpu", description=str(__doc__).split("\n")[0])
    for name, parameter in inspect.signature(run).parameters.items():
        default, flag = parameter.default, f"--{name}"
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(default), default=default)
    parser.add_argument("--json", action="store_true", help='one object {"rows": [...]} instead of a table')
    parser.add_argument("--into", metavar="FOLDER", help="keep that object there, named for device and day")
    options = vars(parser.parse_args(arguments))
    as_json, folder = options.pop("json"), options.pop("into")
    found = run(**options)
    rows = [asdict(row) for row in found]
    text = json.dumps({"rows": rows})
    sys.stdout.write((text if as_json else performance.render(rows)) + "\n")
    if folder and isinstance(found[0], gpu_machine.Machine) and found[0].device:
        (Path(folder) / found[0].file_name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
