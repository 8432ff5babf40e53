"""Which activation follows which, what cannot be served, and what a worker's report says of an activation."""

from pathlib import Path

import numpy as np
import pytest

from muse_stream.esu_scorer import Artefact, FeatureSpec, ModelStore, StoreError
from muse_stream.streams.errors import ActivationError
from muse_stream.streams.models.activating import (
    Author,
    Outcome,
    activation_of,
    checked,
    configured,
    outcomes,
    rolled_back,
    settled,
    target_of_rollback,
)
from muse_stream.streams.models.control import (
    PREVIOUS_MAX,
    STALE_MS,
    Activation,
    Loading,
    Ref,
    Refused,
    Running,
    WorkerReport,
)
from muse_stream.streams.models.state import Seen
from muse_stream.streams.settings import Settings

SPEC = FeatureSpec.of({"item": 8, "category": 8, "brand": 4}, {"age": 4})
SETTINGS = Settings.load(
    flags={"features.item": ["colour", "brand"], "features.user": ["age"], "items.spaces": {"v1": 64, "v2": 64}}
)
NOW_MS = 10_000_000
AUTHOR = Author("ann", NOW_MS)


def add(root: Path, name: str, seed: int = 1, spec: FeatureSpec = SPEC, space: str = "v1") -> Artefact:
    made = Artefact.untrained(spec, {"item": np.arange(1, 9)}, seed=seed, space=space)
    made.save(root / name)
    return made


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    for seed, name in enumerate(("one", "two", "three"), 1):
        add(tmp_path / "store", name, seed)
    return ModelStore(str(tmp_path / "store"), tmp_path / "cache")


def test_a_whole_model_of_these_settings_passes(store: ModelStore) -> None:
    assert checked(store, SETTINGS, "one") == store.entry("one")


def test_what_cannot_be_served_is_refused_with_all_reasons(store: ModelStore, tmp_path: Path) -> None:
    spec = FeatureSpec.of({"item": 8, "category": 8, "shop": 4}, {"age": 4, "city": 4})
    add(tmp_path / "store", "other", spec=spec, space="v9")
    with pytest.raises(ActivationError) as refused:
        checked(store, SETTINGS, "other")
    text = str(refused.value)
    assert "vector space 'v9', items.spaces has ['v1', 'v2']" in text
    assert "item features ['shop'], features.item has ['colour', 'brand']" in text
    assert "user features ['city'], features.user has ['age']" in text


def test_a_changed_model_is_refused(store: ModelStore, tmp_path: Path) -> None:
    file = tmp_path / "store" / "one" / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="is not whole"):
        checked(store, SETTINGS, "one")


def ref(store: ModelStore, name: str) -> Ref:
    return Ref(name, store.entry(name).digest)


def test_activating_pushes_and_rolling_back_takes_off(store: ModelStore) -> None:
    current: Activation | None = None
    for name in ("one", "two", "three"):
        current = activation_of(store.entry(name), AUTHOR, current)
    assert current is not None
    assert (current.ref, current.previous) == (ref(store, "three"), (ref(store, "two"), ref(store, "one")))
    back = rolled_back(store.entry("two"), AUTHOR, current)
    assert target_of_rollback(current) == back.ref
    assert (back.slot, back.space, back.previous) == ("live", "v1", (ref(store, "one"),))
    first = rolled_back(store.entry("one"), AUTHOR, back)
    with pytest.raises(ActivationError, match="one is the first"):
        target_of_rollback(first)
    with pytest.raises(ActivationError, match="nothing has been activated"):
        target_of_rollback(None)


def test_a_model_is_not_before_itself_and_the_past_is_bounded(store: ModelStore) -> None:
    one = activation_of(store.entry("one"), AUTHOR, None)
    assert activation_of(store.entry("one"), AUTHOR, one).previous == ()
    past = tuple(Ref(f"m{number}", "a" * 64) for number in range(PREVIOUS_MAX))
    long = activation_of(store.entry("one"), AUTHOR, None, past)
    found = activation_of(store.entry("two"), AUTHOR, long).previous
    assert found == (one.ref, *past[:-1])


def test_a_shadow_has_a_share(store: ModelStore) -> None:
    found = activation_of(store.entry("one"), AUTHOR, None, share=0.1)
    assert (found.slot, found.share, found.by, found.at_ms) == ("shadow", 0.1, "ann", NOW_MS)


def seen(running: Running | None = None, *, age_ms: int = 0, **more: object) -> Seen:
    report = WorkerReport(worker="w", at_ms=0, live=running, **more)  # type: ignore[arg-type]
    return Seen(report, NOW_MS - age_ms)


def test_what_all_workers_run_by_their_settings_is_before_the_first(store: ModelStore) -> None:
    one, two = (Running(name, store.entry(name).digest, "v1") for name in ("one", "two"))
    same = {"w1": seen(one), "w2": seen(one), "gone": seen(two, age_ms=STALE_MS + 1)}
    assert configured(same, store, NOW_MS) == (ref(store, "one"),)
    assert configured({"w1": seen(one), "w2": seen(two)}, store, NOW_MS) == ()
    assert configured({"w1": seen(Running("untrained-1", "f" * 64, "v1"))}, store, NOW_MS) == ()
    assert configured({}, store, NOW_MS) == ()


WANTED = Activation(slot="live", name="two", digest="b" * 64, space="v1", by="", at_ms=7)
OLD, NEW = Running("one", "a" * 64, "v1"), Running("two", "b" * 64, "v1")


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (seen(NEW), Outcome("w", "runs")),
        (seen(OLD), Outcome("w", "waiting")),
        (seen(None), Outcome("w", "waiting")),
        (seen(OLD, shadow=NEW), Outcome("w", "waiting")),
        (
            seen(OLD, loading=Loading("two", "b" * 64, "filling", 0.25)),
            Outcome("w", "loading", "filling, 25% of the vectors are there"),
        ),
        (seen(OLD, loading=Loading("two", "b" * 64, "warming")), Outcome("w", "loading", "warming")),
        (seen(OLD, loading=Loading("three", "c" * 64, "warming")), Outcome("w", "waiting")),
        (seen(OLD, refused=Refused("two", "b" * 64, "too large", 7)), Outcome("w", "refused", "too large")),
        (seen(OLD, refused=Refused("two", "b" * 64, "an earlier time", 6)), Outcome("w", "waiting")),
        (seen(NEW, age_ms=STALE_MS + 1_000), Outcome("w", "stale", "last heard of 181 s ago")),
    ],
)
def test_what_a_worker_made_of_it(found: Seen, outcome: Outcome) -> None:
    assert outcomes({"w": found}, "live", WANTED, NOW_MS) == [outcome]


def test_an_emptied_shadow_is_followed_by_having_none() -> None:
    found = outcomes({"a": seen(OLD, shadow=NEW), "b": seen(OLD)}, "shadow", None, NOW_MS)
    assert [one.state for one in found] == ["waiting", "runs"]


def test_settled_is_when_nothing_more_is_to_come() -> None:
    assert not settled([])
    assert not settled([Outcome("w", "stale")])
    assert settled([Outcome("w", "runs"), Outcome("v", "stale"), Outcome("u", "refused", "why")])
    assert not settled([Outcome("w", "runs"), Outcome("v", "loading")])
