import subprocess
import sys
from pathlib import Path

import pytest

from muse_stream.esu_scorer import ArtefactError, OnnxModel, Scorer, load_model
from muse_stream.esu_scorer.errors import ArtefactFormatError, ArtefactMissingError

from .making import artefact, score_batch
from .onnx_making import own_artefact


def test_the_header_says_which_kind_it_is(tmp_path: Path) -> None:
    ours, own = artefact(), own_artefact()
    ours.save(tmp_path / "ours")
    own.save(tmp_path / "own")
    first, second = (load_model(tmp_path / name, device="cpu", threads=2) for name in ("ours", "own"))
    assert isinstance(first, Scorer)
    assert isinstance(second, OnnxModel)
    assert (first.info.digest, second.info.digest) == (ours.digest, own.manifest.digest)
    batch = score_batch(1, (70, 90))
    assert first.score(batch).tolist() == Scorer(ours).score(batch).tolist()


def test_who_serves_a_model_does_not_load_torchs_compiler(tmp_path: Path) -> None:
    artefact().save(tmp_path / "ours")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from muse_stream.esu_scorer import load_model\n"
        f"load_model(Path({str(tmp_path / 'ours')!r}), device='cpu', threads=1)\n"
        "sys.exit(bool({'torch._dynamo', 'triton'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (None, ArtefactMissingError, "no artefact file"),
        ("{", ArtefactFormatError, "is not an artefact manifest"),
        ('{"version": 1}', ArtefactFormatError, "expected JSON with 'format'"),
        ('{"format": "x", "format_version": 1}', ArtefactFormatError, "format 'x', this release reads 'muse-esu' and"),
        ('{"format": "muse-esu", "format_version": 9}', ArtefactError, "version 9"),
        ('{"format": "muse-onnx", "format_version": 9}', ArtefactError, "version 9"),
    ],
)
def test_what_is_no_artefact_is_refused(
    tmp_path: Path, text: str | None, error: type[ArtefactError], says: str
) -> None:
    if text is not None:
        (tmp_path / "artefact.json").write_text(text)
    with pytest.raises(error, match=says):
        load_model(tmp_path, device="cpu")
