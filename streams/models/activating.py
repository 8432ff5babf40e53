"""Which activation to publish, and what workers made of it.

Invariant: an activation made here names a model that was whole when it was looked at, and whose space and features the
settings have. `previous` is a stack: to activate pushes what was there, to roll back takes the top off.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from muse_stream.esu_scorer import Entry, ModelStore
from muse_stream.streams.errors import ActivationError
from muse_stream.streams.models.control import PREVIOUS_MAX, Activation, Ref, Slot
from muse_stream.streams.models.state import Seen
from muse_stream.streams.settings import Settings

State = Literal["runs", "refused", "loading", "waiting", "stale"]
"""What a worker made of an activation; `waiting`: nothing that it has told yet, `stale`: it tells nothing any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one worker made of an activation; `text` has the reason of a refusal, or how far it is."""

    worker: str
    state: State
    text: str = ""


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks, and when by their clock."""

    by: str
    at_ms: int


def checked(store: ModelStore, settings: Settings, name: str, digest: str | None = None) -> Entry:
    """The model, looked at whole. Raises `StoreError`; `ActivationError`: these settings cannot serve it."""
    entry = store.verify(name, digest)
    wrong = list(unfit(entry, settings))
    if wrong:
        raise ActivationError(f"{name} cannot be served with these settings: " + "; ".join(wrong))
    return entry


def unfit(entry: Entry, settings: Settings) -> Iterator[str]:
    """What of a readable entry these settings do not have, with what to do."""
    assert entry.features is not None  # noqa: S101 - only a manifest that cannot be read has none
    if entry.space not in settings.items.spaces:
        yield (
            f"it was trained on vector space {entry.space!r}, items.spaces has {sorted(settings.items.spaces)}; add "
            f"the space and its vectors, or train on one of these"
        )
    parts = (
        ("item", entry.features.candidate_names[2:], settings.features.item),
        ("user", entry.features.user_names, settings.features.user),
    )
    for part, reads, has in parts:
        missing = [name for name in reads if name not in has]
        if missing:
            yield f"it reads {part} features {missing}, features.{part} has {list(has)}; add them on every worker"


def activation_of(
    entry: Entry, author: Author, current: Activation | None, before: tuple[Ref, ...] = (), share: float | None = None
) -> Activation:
    """Put `entry` into a slot: the shadow's where there is a share of requests, else the live one.

    Args:
        entry: The model.
        author: Who asks.
        current: What the slot has.
        before: What it had where nothing was ever activated: what the workers run by their settings.
        share: Of the requests, for a shadow.

    """
    ref = Ref(entry.name, entry.digest)
    previous = before if current is None else (current.ref, *current.previous)
    return Activation(
        slot="live" if share is None else "shadow",
        name=entry.name,
        digest=entry.digest,
        space=entry.space,
        share=share,
        by=author.by,
        at_ms=author.at_ms,
        previous=tuple(one for one in previous if one != ref)[:PREVIOUS_MAX],
    )


def target_of_rollback(current: Activation | None) -> Ref:
    """What the live slot had before. Raises `ActivationError`: nothing."""
    if current is None:
        msg = "nothing has been activated, so there is nothing to go back to; muse-stream models activate NAME"
        raise ActivationError(msg)
    if not current.previous:
        msg = (
            f"{current.name} is the first that was activated, so there is nothing to go back to; name a model: "
            f"muse-stream models activate NAME"
        )
        raise ActivationError(msg)
    return current.previous[0]


def rolled_back(entry: Entry, author: Author, current: Activation) -> Activation:
    """Go back to `entry`, the top of what was there before; to roll back again goes further back."""
    return Activation(
        slot="live",
        name=entry.name,
        digest=entry.digest,
        space=entry.space,
        by=author.by,
        at_ms=author.at_ms,
        previous=current.previous[1:],
    )


def configured(reports: Mapping[str, Seen], store: ModelStore, now_ms: int) -> tuple[Ref, ...]:
    """The one model of the store that all workers run by their settings: what a first activation can go back to."""
    digests = {seen.report.live.digest for seen in reports.values() if seen.report.live and not seen.stale(now_ms)}
    if len(digests) != 1:
        return ()
    entry = store.by_digest(digests.pop())
    return (Ref(entry.name, entry.digest),) if entry else ()


def outcomes(reports: Mapping[str, Seen], slot: Slot, wanted: Activation | None, now_ms: int) -> list[Outcome]:
    """What each worker made of `wanted`, None: the emptied slot; by worker."""
    return [_outcome(worker, reports[worker], slot, wanted, now_ms) for worker in sorted(reports)]


def settled(found: list[Outcome]) -> bool:
    """Whether there is a worker, and none of which more is to come."""
    alive = [one for one in found if one.state != "stale"]
    return bool(alive) and all(one.state in {"runs", "refused"} for one in alive)


def _outcome(worker: str, seen: Seen, slot: Slot, wanted: Activation | None, now_ms: int) -> Outcome:
    report = seen.report
    if seen.stale(now_ms):
        return Outcome(worker, "stale", f"last heard of {(now_ms - seen.broker_time_ms) // 1000} s ago")
    running = report.live if slot == "live" else report.shadow
    digest = wanted.digest if wanted else None
    if (running.digest if running else None) == digest:
        return Outcome(worker, "runs")
    refused, loading = report.refused, report.loading
    if refused and wanted and (refused.digest, refused.at_ms) == (digest, wanted.at_ms):
        return Outcome(worker, "refused", refused.reason)
    if loading and loading.digest == digest:
        coverage = "" if loading.coverage is None else f", {loading.coverage:.0%} of the vectors are there"
        return Outcome(worker, "loading", f"{loading.step}{coverage}")
    return Outcome(worker, "waiting")
