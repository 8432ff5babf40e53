"""A figure of a case: ours beside the peers' and the limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from muse_stream.benchmarks.gpu_cases import Case
from muse_stream.benchmarks.gpu_ours import CUDA
from muse_stream.benchmarks.gpu_rounds import Times
from muse_stream.benchmarks.report import Line, lower_is_better

FIGURES = ("end to end", "on the device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Line):
    """A figure of a case with all that was measured.

    Attributes:
        figure: One of `FIGURES`.
        users: Users of the question.
        behaviours: Of all of them together.
        candidates: Per user.
        k: Results per candidate.
        limit_ms: Least time by the datasheet.
        of_limit: The part of our time that this is.
        measured_limit_ms: Least time by what was measured.
        of_measured: The part of our time that this is.
        fastest_peer_name: The fastest of all peers, exact or not.
        fastest_peer: Its figure.
        fastest_ratio: How many times as fast ours is.
        medians_ms: Everybody's.
        recalls: Everybody's share of the K best, ties by score right.
        rounds: How many calls each median is of.

    """

    figure: str
    users: int
    behaviours: int
    candidates: int
    k: int
    limit_ms: float | None = None
    of_limit: float | None = None
    measured_limit_ms: float | None = None
    of_measured: float | None = None
    fastest_peer_name: str | None = None
    fastest_peer: float | None = None
    fastest_ratio: float | None = None
    medians_ms: Mapping[str, float]
    recalls: Mapping[str, float]
    rounds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Taken:
    """What was measured of a case.

    Attributes:
        times: Everybody's.
        recalls: Everybody's.
        limits: Least seconds by the datasheet, and by what was measured.
        exact: Peers that have found all of the K best and compute exactly.
        own: Whose figures are shown.

    """

    times: Mapping[str, Times] = field(default_factory=dict)
    recalls: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float | None, float | None] = (None, None)
    exact: frozenset[str] = frozenset()
    own: str = CUDA


def cell(case: Case, figure: str, taken: Taken) -> Cell:
    """One figure of a case, empty where it was not measured."""
    medians = {name: 1e3 * found for name, one in taken.times.items() if (found := _of(one, figure)) is not None}
    peers = {name: value for name, value in medians.items() if not name.startswith("ours")}
    ours = medians.get(taken.own)
    limits = [None if limit is None else 1e3 * limit for limit in taken.limits]
    parts = [None if limit is None or ours is None else limit / ours for limit in limits]
    best = _against(ours, {name: value for name, value in peers.items() if name in taken.exact})
    fastest = _against(ours, peers)
    return Cell(
        f"{case.name}, {figure}",
        *(ours, "ms", best.best_peer_name, best.best_peer, best.ratio),
        figure=figure,
        users=len(case.group.lengths),
        behaviours=sum(case.group.lengths),
        candidates=case.candidates,
        k=case.k,
        limit_ms=limits[0],
        of_limit=parts[0],
        measured_limit_ms=limits[1],
        of_measured=parts[1],
        fastest_peer_name=fastest.best_peer_name,
        fastest_peer=fastest.best_peer,
        fastest_ratio=fastest.ratio,
        medians_ms=medians,
        recalls=taken.recalls,
        rounds={name: one.rounds for name, one in taken.times.items()},
    )


def _against(ours: float | None, peers: Mapping[str, float]) -> Line:
    return Line("", None, "ms") if ours is None else lower_is_better("", ours, "ms", dict(peers))


def _of(times: Times, figure: str) -> float | None:
    return times.seconds if figure == FIGURES[0] else times.device_seconds


def line(cell: Cell) -> str:
    """A cell with everybody's time and recall, fastest first, and parts of the limits."""
    order = sorted(cell.medians_ms, key=cell.medians_ms.__getitem__)
    told = [f"{name} {cell.medians_ms[name]:.4g} ms ({cell.recalls[name]:.4g})" for name in order]
    parts = {"datasheet": cell.of_limit, "measured": cell.of_measured}
    of = [f"{part:.0%} of the limit, {name}" for name, part in parts.items() if part is not None]
    return f"{cell.case}: " + ", ".join(told + of)
