"""What the demo tells of the model that scores."""

import json
from dataclasses import dataclass

from muse_stream.streams.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model says of itself.

    Attributes:
        trained: False: first weights from a seed.
        gauc: Of its validation part; None = nobody measured it.
        source: What it was trained on.
        samples: How many samples of it.

    """

    trained: bool
    gauc: float | None = None
    source: str | None = None
    samples: int | None = None


def model_card(settings: Settings) -> ModelCard:
    """Of the artefact that the settings name; without one the worker draws weights."""
    if settings.model.path is None:
        return ModelCard(trained=False)
    path = settings.model.path / (settings.model.active or "")
    manifest = json.loads((path / "artefact.json").read_text(encoding="utf-8"))
    data = manifest.get("data") or {}
    return ModelCard(manifest["trained"], manifest["metrics"].get("gauc"), data.get("source"), data.get("samples"))
