"""From a directory to a model in service, whatever its kind.

The manifest's header tells the kind: `muse-esu` is one of ours (`Artefact`, `Scorer`), `muse-onnx` one of your own
(`OnnxArtefact`, `OnnxModel`).
"""

from __future__ import annotations

from pathlib import Path

from muse_stream.esu_scorer.artefact import MANIFEST_FILE, Artefact
from muse_stream.esu_scorer.errors import ArtefactFormatError, ArtefactMissingError
from muse_stream.esu_scorer.manifest import FORMAT, decode_header
from muse_stream.esu_scorer.onnx_artefact import ONNX_FORMAT, OnnxArtefact
from muse_stream.esu_scorer.onnx_model import OnnxModel
from muse_stream.esu_scorer.scorer import Scorer
from muse_stream.esu_scorer.served import ServedModel


def load_model(path: Path, *, device: str, threads: int = 1) -> ServedModel:
    """Read, check and make ready the model in directory `path`.

    Args:
        path: Of an artefact of either kind.
        device: `cpu`, `cuda` or `cuda:N`; an ONNX artefact scores on the CPU whatever it says.
        threads: Most threads of one pass on the CPU.

    Raises:
        ArtefactError: It is missing, of a kind that this release does not know, corrupt, or it does not score.
        DeviceError: The device is not here.

    """
    kind = format_of(path)
    if kind == FORMAT:
        return Scorer(Artefact.load(path), device, threads)
    if kind == ONNX_FORMAT:
        return OnnxModel(OnnxArtefact.load(path), threads)
    msg = (
        f"{path / MANIFEST_FILE} has format {kind!r}, this release reads {FORMAT!r} and {ONNX_FORMAT!r}; "
        f"upgrade muse-stream or export the artefact again"
    )
    raise ArtefactFormatError(msg)


def format_of(path: Path) -> str:
    """The kind of artefact in directory `path`. Raises `ArtefactMissingError`, `ArtefactFormatError`."""
    manifest = path / MANIFEST_FILE
    try:
        data = manifest.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"no artefact file {manifest}; an artefact is a directory with {MANIFEST_FILE} and its tensors or graph"
        raise ArtefactMissingError(msg) from error
    return decode_header(data, str(manifest)).format
