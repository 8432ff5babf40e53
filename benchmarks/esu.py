"""Time to score one user's C candidates: ids in, probabilities out.

The form that serves is compared with the released network's straightforward form, with ours in eager Torch, the same
compiled by Torch, and the fused layout on ONNX Runtime. All read the same weights and the same batch, may use all
cores, and must agree with the released form, or they are no result. They are timed in turn, in one process, and the
median is reported.

The user has 50 recent behaviours; each candidate has 50 retrieved ones out of 1 500 distinct items, each of one
category; in the last case every one of them is another behaviour, so that nothing is projected once for several.

What Python can do meanwhile is counted: a thread that counts, beside a thread that scores without a pause.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from muse_stream.benchmarks.esu_forms import EAGER, FORMS, RELEASED, THREADS, Form, NotHereError
from muse_stream.benchmarks.report import Line, higher_is_better, lower_is_better
from muse_stream.esu_scorer import Artefact, FeatureSpec, ScoreBatch, Scorer

CANDIDATE_COUNTS = (1, 10, 100, 200, 500, 1000, 2000)
ALL_DISTINCT = 1000  # candidates of the case in which every behaviour is another
BESIDE = 1000  # candidates of the passes beside which Python counts
LENGTH = 50  # K and R of the released network
ITEMS = 1_000_000
CATEGORIES = 26_397  # as many as Taobao-MM has
DISTINCT_ITEMS = 1500
SECONDS_PER_CASE = 1.0
AGREEMENT = 1e-5


def run(
    counts: tuple[int, ...] = CANDIDATE_COUNTS,
    seconds_per_case: float = SECONDS_PER_CASE,
    items: int = ITEMS,
    forms: Sequence[str] = tuple(FORMS),
) -> list[Line]:
    """Milliseconds per batch: what serves against the released form, then every other form, by number of candidates."""
    rng = np.random.default_rng(0)
    ids = np.unique(rng.integers(-(2**62), 2**62, items))
    artefact = _artefact(ids)
    others, lines = _others(artefact, forms)
    served = Scorer(artefact, threads=THREADS).score
    for count in counts:
        lines += _case(f"score C={count:,}", served, others, _batch(rng, ids, count), seconds_per_case)
    distinct = _batch(rng, ids, min(ALL_DISTINCT, max(counts)), all_distinct=True)
    lines += _case(
        f"score C={distinct.candidate_count:,}, all behaviours distinct", served, others, distinct, seconds_per_case
    )
    return [*lines, _beside(artefact, others, _batch(rng, ids, BESIDE), seconds_per_case)]


def _others(artefact: Artefact, names: Sequence[str]) -> tuple[dict[str, Form], list[Line]]:
    """The forms that can be made here, and a line for each that cannot."""
    made: dict[str, Form] = {}
    missing: list[Line] = []
    for name in names:
        try:
            made[name] = FORMS[name](artefact)
        except NotHereError as error:
            missing.append(Line(f"{name}: {error}", None, "ms"))
    return made, missing


def _case(case: str, served: Form, others: dict[str, Form], batch: ScoreBatch, seconds: float) -> list[Line]:
    forms = {"": served, **others}
    wanted = others[RELEASED](batch)
    errors = {name: float(np.abs(form(batch) - wanted).max()) for name, form in forms.items()}
    for name, error in errors.items():
        if error > AGREEMENT:
            message = f"{case}: {name or 'what serves'} differs by {error:.2e} from the released form: no comparison"
            raise RuntimeError(message)
    times = dict(zip(forms, _medians_ms([_call(form, batch) for form in forms.values()], seconds), strict=True))
    peers = {RELEASED: times[RELEASED]}
    return [
        lower_is_better(
            f"{case}{f', {name}' if name else ''} (differs by {errors[name]:.0e})", times[name], "ms", peers
        )
        for name in forms
        if name != RELEASED
    ]


def _call(form: Form, batch: ScoreBatch) -> Callable[[], object]:
    return lambda: form(batch)


def _medians_ms(calls: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Median milliseconds of each call; they take turns, so that a busy machine is busy for all."""
    times: list[list[float]] = [[] for _ in calls]
    deadline = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < deadline or len(times[0]) < 5:
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e3)
    return [float(np.median(taken)) for taken in times]


def _beside(artefact: Artefact, others: dict[str, Form], batch: ScoreBatch, seconds: float) -> Line:
    """How fast Python counts beside passes on one thread, as a share of how fast it counts alone."""
    served = Scorer(artefact, threads=1).score
    alone = _counted(None, seconds)
    peers = {EAGER: 100 * _counted(_call(others[EAGER], batch), seconds) / alone} if EAGER in others else {}
    ours = 100 * _counted(_call(served, batch), seconds) / alone
    return higher_is_better(f"Python's pace beside scoring C={batch.candidate_count:,}", ours, "% of alone", peers)


def _counted(call: Callable[[], object] | None, seconds: float) -> float:
    """Steps per second of a thread that counts while another makes this call over and over."""
    done = threading.Event()

    def repeat() -> None:
        while call is not None and not done.is_set():
            call()

    other = threading.Thread(target=repeat)
    other.start()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        steps += 1
    taken = time.perf_counter() - start
    done.set()
    other.join()
    return max(steps, 1) / max(taken, 1e-9)


def _artefact(ids: np.ndarray) -> Artefact:
    spec = FeatureSpec.taobao_mm()
    others = {feature.name: ids[:100_000] for feature in spec.features[2:]}
    return Artefact.untrained(spec, {"item": ids, "category": ids[:CATEGORIES], **others}, seed=0, space="v1")


def _batch(rng: np.random.Generator, ids: np.ndarray, count: int, *, all_distinct: bool = False) -> ScoreBatch:
    """One user's. `ids` rise: an id's place in them, modulo the number of categories, is its category's."""
    spec = FeatureSpec.taobao_mm()
    history = rng.integers(0, len(ids), DISTINCT_ITEMS)
    recent, retrieved = rng.choice(history, (1, LENGTH)), rng.choice(history, (count, LENGTH))
    if all_distinct:
        retrieved = np.resize(rng.permutation(len(ids)), retrieved.shape)
    categories = ids[:CATEGORIES]
    return ScoreBatch(
        user_features=rng.choice(ids[:100_000], (1, len(spec.user))),
        recent_item=ids[recent],
        recent_category=categories[recent % len(categories)],
        recent_mask=np.ones((1, LENGTH), np.bool_),
        bounds=np.array([0, count]),
        candidate_features=rng.choice(categories, (count, len(spec.candidate))),
        recent_cosine=rng.uniform(-1, 1, (count, LENGTH)).astype(np.float32),
        recent_cosine_present=np.ones((count, LENGTH), np.bool_),
        retrieved_item=ids[retrieved],
        retrieved_category=categories[retrieved % len(categories)],
        retrieved_cosine=np.sort(rng.uniform(0, 1, (count, LENGTH)).astype(np.float32))[:, ::-1].copy(),
        retrieved_mask=np.ones((count, LENGTH), np.bool_),
    )
