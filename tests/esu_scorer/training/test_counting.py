import numpy as np
import pytest

from muse_stream.esu_scorer import Vocabulary
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.training import TrainingConfig
from muse_stream.esu_scorer.training.counting import CEILING, Counter, count_ids
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup

from .world import SPEC, SmallSource


def ids_of(lookup: Lookup) -> list[int]:
    assert isinstance(lookup, Vocabulary)
    return [int(each) for each in lookup.ids]


def counted(source: SmallSource, length: int = 1000, **settings: int) -> dict[str, Lookup]:
    config = TrainingConfig(**settings)  # type: ignore[arg-type]
    blocks = source.blocks("train")
    return count_ids(blocks, SPEC, config, source="s", length=length, told=lambda _: None).lookups


def test_every_id_that_a_sample_shows_has_a_row() -> None:
    source = SmallSource()
    whole = source.whole("train")
    shown = set(whole.candidate_features[:, 0].tolist())
    for owner, stop in zip(whole.owner, whole.stop, strict=True):
        low = whole.histories.lows[owner]
        shown |= set(whole.histories.behaviours.item[low : low + stop].tolist())
    lookups = counted(source)
    assert set(ids_of(lookups["item"])) == shown
    assert ids_of(lookups["country"]) == [1, 2]
    assert ids_of(lookups["band"]) == [1, 2, 3, 4]


def test_what_lies_outside_every_window_has_none() -> None:
    source = SmallSource(users=1, samples={"train": 10})
    whole = source.whole("train")
    item = np.arange(1_000, 1_040)
    whole.histories.behaviours.item[:] = item
    first, last = int((whole.stop - 3).min()), int(whole.stop.max())
    source.whole = lambda part: whole  # type: ignore[method-assign]
    ids = ids_of(counted(source, length=3)["item"])
    assert set(ids) - set(whole.candidate_features[:, 0].tolist()) == set(item[first:last].tolist())


def test_seldom_ids_get_the_unknown_row() -> None:
    counter = Counter(100)
    counter.add(np.array([[5, 5, 9], [7, 5, 7]]))
    counter.add(np.array([9, 0, 0, 0]))
    assert ids_of(counter.lookup(2)) == [5, 7, 9]
    assert ids_of(counter.lookup(3)) == [5]


def test_merging_in_between_changes_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    pieces = [rng.integers(-20, 20, 50) for _ in range(30)]
    whole, cut = Counter(1000), Counter(1000)
    for piece in pieces:
        whole.add(piece)
    monkeypatch.setattr("muse_stream.esu_scorer.training.counting.BUFFER", 40)
    for piece in pieces:
        cut.add(piece)
    every, counts = np.unique(np.concatenate(pieces), return_counts=True)
    for minimum in (1, 35, 40):
        wanted = every[(counts >= minimum) & (every != 0)].tolist()
        assert ids_of(whole.lookup(minimum)) == ids_of(cut.lookup(minimum)) == wanted


def test_a_feature_that_would_not_fit_is_hashed() -> None:
    lookups = counted(SmallSource(), rows_max=20)
    assert lookups["item"] == HashedVocabulary(19)
    assert lookups["item"].row_count == 20
    assert ids_of(lookups["category"]) == [1, 2, 3, 4, 5, 6]


def test_the_minimum_count_may_make_it_fit() -> None:
    counter = Counter(3)
    counter.add(np.array([1, 1, 2, 2, 3, 4, 5]))
    assert counter.lookup(1) == HashedVocabulary(2)
    assert ids_of(counter.lookup(2)) == [1, 2]


def test_memory_is_bounded_when_ids_are_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_stream.esu_scorer.training.counting.BUFFER", 100)
    counter = Counter(50)
    for first in range(0, 100_000, 1_000):
        counter.add(np.arange(first, first + 1_000))
        assert len(counter._ids) <= CEILING * 50
        assert sum(len(ids) for ids, _ in counter._waiting) <= 1_100
    assert counter.lookup(5) == HashedVocabulary(49)


def test_only_one_class_is_refused() -> None:
    source = SmallSource(samples={"train": 5})
    whole = source.whole("train")
    whole.label[:] = True
    source.whole = lambda part: whole  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"5 samples to train on, 5 of them positive; expected both classes"):
        counted(source)
