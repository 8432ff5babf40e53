"""The demo's model: trained on the bundled purchases by `scripts/demo_artefact.sh`, and shipped beside them.

Invariant: it was made for the features and the vectors that the demo publishes; a test loads it so.
"""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES

WIDTH = 16  # the released network's embedding width (arXiv 2512.07216)
NAME = "online-retail"


def feature_spec() -> FeatureSpec:
    """Item, category, price band of a candidate; country of a customer."""
    item = {"item": WIDTH, "category": WIDTH, **dict.fromkeys(ITEM_FEATURES, WIDTH)}
    return FeatureSpec.of(item, dict.fromkeys(USER_FEATURES, WIDTH))


def write_bundled(directory: Path) -> Path:
    """Copy the bundled artefact below `directory`; returns its path. Raises `OSError`."""
    path = directory / NAME
    with as_file(files("muse_stream.streams.demo") / "data" / "model") as bundled:
        shutil.copytree(bundled, path)
    return path
