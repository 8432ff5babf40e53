"""Whether a loaded model can serve under these settings: pure comparisons, each with what to do in its text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muse_stream.esu_scorer import ModelInfo, ServedModel
from muse_stream.esu_scorer.batch import Float32
from muse_stream.gsu_engine.contract import K_LIMIT, RECENT_LIMIT
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.model import WARM_UP_CANDIDATES, warm_up_batch
from muse_stream.streams.worker.swapping.columns import OWN_COLUMNS
from muse_stream.streams.worker.swapping.target import RefusedError


@dataclass(frozen=True, slots=True)
class Expected:
    """What the settings collect and serve.

    Attributes:
        spaces: Vector spaces that have a table.
        item_features: Features of items beside item and category.
        user_features: Features of users.

    """

    spaces: Sequence[str]
    item_features: Sequence[str]
    user_features: Sequence[str]

    @classmethod
    def of(cls, settings: Settings) -> "Expected":
        """From the settings."""
        return cls(tuple(settings.items.spaces), tuple(settings.features.item), tuple(settings.features.user))


def check_info(info: ModelInfo, expected: Expected, digest: str | None = None) -> None:
    """Raise RefusedError unless digest, space, features, K and R are such as can be served."""
    if digest is not None and info.digest != digest:
        message = f"its digest is {info.digest[:16]}…, {digest[:16]}… was activated; put the right one into the store"
        raise RefusedError(message)
    if info.space not in expected.spaces:
        message = (
            f"it is of vector space {info.space!r}, this worker has {', '.join(expected.spaces)}; add the space to "
            f"items.spaces and restart the workers, so that its vectors are collected"
        )
        raise RefusedError(message)
    _check_features("item", info.spec.candidate_names[OWN_COLUMNS:], expected.item_features)
    _check_features("user", info.spec.user_names, expected.user_features)
    if not 1 <= info.k <= K_LIMIT or not 0 <= info.r <= RECENT_LIMIT:
        message = f"it reads K = {info.k} and R = {info.r} behaviours, served are 1..{K_LIMIT} and 0..{RECENT_LIMIT}"
        raise RefusedError(message)


def _check_features(kind: str, wanted: Sequence[str], collected: Sequence[str]) -> None:
    missing = sorted(set(wanted) - set(collected))
    if missing:
        message = (
            f"it reads the {kind} features {', '.join(missing)}, collected are {', '.join(collected) or 'none'}; add "
            f"them to features.{kind} and restart the workers, or train without them"
        )
        raise RefusedError(message)


def check_scores(model: ServedModel) -> None:
    """Let the model score requests of zeros; raise RefusedError unless every answer is a probability."""
    for candidates in WARM_UP_CANDIDATES:
        require_probabilities(model.score(warm_up_batch(model.info, candidates)), candidates)


def require_probabilities(scores: Float32, count: int) -> None:
    """Raise RefusedError unless `scores` are `count` numbers of 0..1."""
    if scores.shape != (count,) or not ((scores >= 0) & (scores <= 1)).all():
        wrong = scores.ravel()[:3].tolist() if isinstance(scores, np.ndarray) else scores
        message = (
            f"of {count} candidates it made {getattr(scores, 'shape', '')} scores such as {wrong}; expected one "
            f"probability each"
        )
        raise RefusedError(message)
