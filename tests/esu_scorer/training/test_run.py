import json
from pathlib import Path

import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import Artefact
from muse_stream.esu_scorer.evaluation import Scores, gauc
from muse_stream.esu_scorer.training import Progress, TrainingConfig, score, train

from .world import RECIPE, SMALL, SmallSource, following, make


def silent(progress: Progress) -> None:
    assert progress.done >= 0


def trained(directory: Path, config: TrainingConfig = SMALL, source: SmallSource | None = None) -> Artefact:
    result = train(source or SmallSource(), RECIPE, make, config, directory, told=silent)
    return Artefact.load(result.artefact)


def same(first: Artefact, second: Artefact) -> bool:
    return all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


def test_one_seed_gives_one_model_to_the_bit_and_another_seed_another(tmp_path: Path) -> None:
    first, again = trained(tmp_path / "a"), trained(tmp_path / "b")
    assert same(first, again)
    assert first.digest == again.digest
    assert not same(first, trained(tmp_path / "c", TrainingConfig(**{**_fields(SMALL), "seed": 2})))


def _fields(config: TrainingConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__struct_fields__}
