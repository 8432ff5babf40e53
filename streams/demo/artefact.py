"""The demo's model: MUSE, trained by `muse-stream train` on the bundled purchases; `scripts/demo_artefact.sh` makes it."""

from importlib.resources import as_file, files
from pathlib import Path

from muse_stream.esu_scorer import Artefact, FeatureSpec
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES, VECTOR_SPACE

WIDTH = 16  # the released network's embedding width (arXiv 2512.07216)
NAME = "online-retail"


def feature_spec() -> FeatureSpec:
    """Item, category, price band of a candidate; country of a customer."""
    item = {"item": WIDTH, "category": WIDTH, **dict.fromkeys(ITEM_FEATURES, WIDTH)}
    return FeatureSpec.of(item, dict.fromkeys(USER_FEATURES, WIDTH))


def write_shipped(directory: Path) -> Path:
    """Save the shipped artefact below `directory`; returns its path.

    Raises:
        ArtefactError: It is damaged, or `directory` has one already.
        OSError: It cannot be written.

    """
    with as_file(files("muse_stream.streams.demo") / "data" / "model") as shipped:
        artefact = Artefact.load(shipped, features=feature_spec(), space=VECTOR_SPACE)
    path = directory / NAME
    artefact.save(path)
    return path
