"""The fused form against Torch's, for every configuration, and to the bit against itself in other company."""

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.esu_scorer import Artefact, FeatureSpec, MuseConfig, ScoreBatch, Scorer, fused
from muse_stream.esu_scorer.config import BlocksConfig, NetworkConfig
from muse_stream.esu_scorer.fused import FusedForm
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.vocabulary import HashedVocabulary, Lookup

from .making import RETAIL, artefact, score_batch, vocabularies

MODEL = artefact()
FORM = FusedForm(MODEL)
TAOBAO, SMALL = FeatureSpec.taobao_mm(), FeatureSpec.of({"item": 3, "category": 3}, {})
SWITCHES = list(product(("none", "target_attention", "sa_ta"), (False, True), (False, True), (False, True)))
COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=5).map(tuple)
# Where the last two logits are nearer than this, the final Dice, a step 1e-6 wide, shows their rounding: the slope of
# the step is up to 1e6, at this distance 60, and a logit's rounding is 1e-7.
STEP = 5e-5


def torch_scores(model: Artefact, batch: ScoreBatch) -> tuple[np.ndarray, np.ndarray]:
    """Torch's probabilities, and which of them are no toss-up."""
    found = Scorer(model).stages(batch)
    before = found.stages["before_step"]
    return found.probability[:, 1], np.abs(before[:, 0] - before[:, 1]) > STEP


def assert_equal(model: Artefact, batch: ScoreBatch, form: FusedForm | None = None) -> None:
    wanted, sure = torch_scores(model, batch)
    found = (form or FusedForm(model)).score(batch)
    np.testing.assert_allclose(found[sure], wanted[sure], atol=1e-5)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), COUNTS, st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.0, 0.3, 0.8, 1.0]))
def test_random_masks_and_users(seed: int, counts: tuple[int, ...], recent: int, retrieved: int, filled: float) -> None:
    assert_equal(MODEL, score_batch(seed, counts, recent=recent, retrieved=retrieved, filled=filled), FORM)


@pytest.mark.parametrize(("unit", "mean", "recent", "retrieved"), SWITCHES)
def test_every_combination_of_blocks(unit: str, *, mean: bool, recent: bool, retrieved: bool) -> None:
    config = BlocksConfig(
        unit=unit,  # type: ignore[arg-type]
        retrieved_mean=mean,
        recent_simtier=recent,
        retrieved_simtier=retrieved,
        tower=(24, 8),
    )
    assert_equal(artefact(11, config=config), score_batch(4, (7, 0, 1, 30)))


@pytest.mark.parametrize("spec", [RETAIL, TAOBAO, SMALL])
@pytest.mark.parametrize(
    "config", [MuseConfig(form="paper"), MuseConfig(), MuseConfig(tower=()), MuseConfig(tower=(7,))]
)
def test_forms_features_and_towers(spec: FeatureSpec, config: NetworkConfig) -> None:
    assert_equal(artefact(5, spec, config), score_batch(2, (40, 3, 70), recent=50, retrieved=50, spec=spec))


def test_hashed_vocabularies() -> None:
    known: dict[str, Lookup] = {**vocabularies(), "item": HashedVocabulary(50), "customer": HashedVocabulary(3)}
    model = Model(RETAIL, MuseConfig(), {name: lookup.row_count for name, lookup in known.items()})
    model.reset(1)
    hashed = Artefact.from_model(model, known, space="v1", version="hashed", trained=False)
    assert_equal(hashed, score_batch(3, (5, 9)))


def test_what_lies_under_a_mask_is_never_read() -> None:
    batch = score_batch(6, (5, 20), recent=7, retrieved=7)
    changed = replace(
        batch,
        recent_item=np.where(batch.recent_mask, batch.recent_item, 2**62),
        retrieved_category=np.where(batch.retrieved_mask, batch.retrieved_category, -9),
        retrieved_cosine=np.where(batch.retrieved_mask, batch.retrieved_cosine, np.float32(np.nan)),
        recent_cosine=np.where(batch.recent_cosine_present, batch.recent_cosine, np.float32(np.inf)),
    )
    assert FORM.score(changed).tolist() == FORM.score(batch).tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 40), min_size=2, max_size=6).map(tuple), st.integers(1, 4))
def test_company_changes_no_bit(seed: int, counts: tuple[int, ...], threads: int) -> None:
    batch = score_batch(seed, counts, recent=9, retrieved=9)
    with sized(alone=3, cells=64):
        together = FusedForm(MODEL, threads).score(batch)
    alone = [FORM.score(part).tolist() for part in batch.split()]
    assert together.tolist() == [score for scores in alone for score in scores]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(0, 29))
def test_a_candidate_alone_scores_to_the_bit_what_it_scores_among_others(seed: int, count: int, own: int) -> None:
    batch, own = score_batch(seed, (count,)), own % count
    rows = {
        field.name: getattr(batch, field.name)[own : own + 1]
        for field in fields(ScoreBatch)
        if len(getattr(batch, field.name)) == count and field.name not in {"bounds", "user_features"}
    }
    users = {name: getattr(batch, name) for name in ("recent_item", "recent_category", "recent_mask")}
    single = replace(batch, **{**rows, **users}, bounds=np.array([0, 1]))
    assert FORM.score(single)[0] == FORM.score(batch)[own]


def test_padding_changes_no_bit() -> None:
    batch, other = score_batch(5, (4, 3), recent=4, retrieved=6), score_batch(6, (2,), recent=9, retrieved=11)
    joined = FORM.score(ScoreBatch.join([batch, other]))
    assert joined.tolist() == [*FORM.score(batch).tolist(), *FORM.score(other).tolist()]


def test_a_pass_lets_other_threads_run() -> None:
    batch = score_batch(1, (2_000,), recent=50, retrieved=50)
    FORM.score(batch)
    ran, gate = [], threading.Semaphore(0)

    def count() -> None:
        while gate.acquire():
            ran.append(1)
            if len(ran) >= 3:
                return

    other = threading.Thread(target=count)
    other.start()
    with switching_never():
        for _ in range(300):
            gate.release()  # the other thread may run, but gets the GIL only where somebody gives it away
            FORM.score(batch)
            if len(ran) >= 3:
                break
    other.join(10)
    assert len(ran) >= 3


@contextmanager
def switching_never() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def sized(alone: int, cells: int) -> Iterator[None]:
    """Threads for so few candidates, and so few behaviours at once, that both are cut into many parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "ALONE", alone)
        patch.setattr(fused, "CELLS_AT_ONCE", cells)
        yield


def test_models_of_one_layout_share_buffers_and_score_as_if_alone() -> None:
    models = [artefact(seed) for seed in (31, 32)]
    batches = [score_batch(seed, (70, 0, 9), recent=9, retrieved=7) for seed in range(4)]
    one, other = (FusedForm(model) for model in models)
    mixed = [(one.score(batch), other.score(batch)) for batch in batches]
    assert one._arenas is other._arenas
    for form, found in zip((one, other), zip(*mixed, strict=True), strict=True):
        form._arenas = fused._Arenas(form._arenas._buffers)
        for batch, scores in zip(batches, found, strict=True):
            np.testing.assert_array_equal(form.score(batch), scores)


def test_buffers_are_shared_within_a_layout_alone_and_go_with_its_last_model() -> None:
    narrow, wide = (FeatureSpec.of({"item": width, "category": width}, {}) for width in (3, 4))
    forms = [FusedForm(artefact(1, spec)) for spec in (narrow, wide)]
    assert forms[0]._arenas is not forms[1]._arenas, "padding that one leaves at 0 the other writes"
    gone = weakref.ref(forms[0]._arenas)
    forms.clear()
    assert gone() is None
