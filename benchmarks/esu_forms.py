"""The ways of computing one network that `benchmarks.esu` compares with the one that serves.

Each may use all cores. What cannot be made here (no compiler, no onnxruntime) says why.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import torch

from muse_stream.benchmarks.esu_onnx import OnnxForm
from muse_stream.benchmarks.esu_released import ReleasedForm
from muse_stream.esu_scorer import Artefact, ScoreBatch
from muse_stream.esu_scorer.batch import Float32
from muse_stream.esu_scorer.network import Forward
from muse_stream.esu_scorer.network.tower import CLICK
from muse_stream.esu_scorer.scorer import to_rows

Form = Callable[[ScoreBatch], Float32]
THREADS = len(os.sched_getaffinity(0))

RELEASED = "released network, user repeated per candidate, eager Torch"
EAGER = "our network, eager Torch"
COMPILED = "our network, torch.compile"
ONNX = "our fused layout as an ONNX graph, ONNX Runtime"


class NotHereError(Exception):
    """A form that cannot be made on this machine, and why."""


class EagerForm:
    """Our network as it is trained: user-side work once per user."""

    def __init__(self, artefact: Artefact) -> None:
        self._spec = artefact.spec
        self._vocabularies = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}
        self.model: Callable[..., Forward] = artefact.model()

    @torch.inference_mode()
    def score(self, batch: ScoreBatch) -> Float32:
        """Click probability `[T] float32`."""
        result = self.model(to_rows(batch, self._spec, self._vocabularies))
        scores: Float32 = result.probability[:, CLICK].numpy()
        return scores


def released(artefact: Artefact) -> Form:
    """The peer."""
    return ReleasedForm(artefact).score


def eager(artefact: Artefact) -> Form:
    """Ours in Torch."""
    return EagerForm(artefact).score


def compiled(artefact: Artefact) -> Form:
    """The same, compiled for any number of candidates. Raises `NotHereError`."""
    if shutil.which("c++") is None:
        message = "no C++ compiler"
        raise NotHereError(message)
    form = EagerForm(artefact)
    form.model = torch.compile(form.model, dynamic=True)
    return form.score


def onnx(artefact: Artefact) -> Form:
    """The fused layout elsewhere. Raises `NotHereError`."""
    try:
        return OnnxForm(artefact, THREADS).score
    except ImportError as error:
        raise NotHereError(str(error)) from error


FORMS = {RELEASED: released, EAGER: eager, COMPILED: compiled, ONNX: onnx}
