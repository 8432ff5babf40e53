"""Scores to evaluate."""

import numpy as np
from hypothesis import strategies as st

from muse_stream.esu_scorer.evaluation import Scores

TIES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
SAMPLES = st.lists(st.tuples(st.integers(-3, 3), st.booleans(), TIES), max_size=40)


def scores_of(samples: list[tuple[int, bool, float]]) -> Scores:
    users, labels, scores = zip(*samples, strict=True) if samples else ((), (), ())
    return Scores.of(np.array(users, np.int64), np.array(labels, bool), np.array(scores, np.float32))


def random_scores(seed: int = 0, *, users: int = 300, each: int = 12, skill: float = 1.0) -> Scores:
    """Users of unequal click rates; scores are the true chances, blurred the more the less the skill."""
    rng = np.random.default_rng([seed, 0])
    user = np.repeat(np.arange(users), each)
    logit = rng.normal(size=len(user)) + rng.normal(size=users)[user] - 1
    label = rng.random(len(user)) < 1 / (1 + np.exp(-logit))
    noise = np.random.default_rng([seed, 1]).normal(size=len(user))
    score = 1 / (1 + np.exp(-(skill * logit + (1 - skill) * noise)))
    history = rng.integers(0, 1200, len(user))
    age_ms = rng.integers(-1, 500 * 86_400_000, len(user))
    return Scores(user, label, score.astype(np.float32), history, age_ms)
