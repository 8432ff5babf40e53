"""The example of docs/serving.md is exported, saved, loaded, and scores as the module that it was made of."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muse_stream.esu_scorer import FeatureSpec

from .making import score_batch

DOCS = Path(__file__).parents[2] / "docs" / "serving.md"
SPEC = FeatureSpec.of({"item": 1, "category": 1, "price_band": 1}, {"country": 1})


def test_a_model_of_your_own_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        exec(compile(code, str(DOCS), "exec"), names)  # noqa: S102 - our own page
    batch = score_batch(1, (3, 40), retrieved=50, recent=50, spec=SPEC)
    cosines = np.where(batch.retrieved_mask, batch.retrieved_cosine, np.float32(0))
    # The exporter took the first weights of a module that is gone: the program computes with them still.
    wanted = names["program"](torch.from_numpy(batch.candidate_features), torch.from_numpy(cosines))[0]
    model = names["model"]
    assert (model.info.version, model.info.spec) == ("mine-1", SPEC)
    np.testing.assert_allclose(model.score(batch), wanted, atol=1e-6)
