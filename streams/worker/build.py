"""What this program was built from, as far as it can be known."""

import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution

import torch

COMMIT_VARIABLE = "MUSE_STREAM_COMMIT"
"""Set where an image is built; a package carries no commit of its own."""


def built() -> Mapping[str, str]:
    """Commit, Torch's version, and the CUDA that it was built for; empty what is not known."""
    return {
        "commit": os.environ.get(COMMIT_VARIABLE) or _installed_commit(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "",
    }


def _installed_commit() -> str:
    """The commit that pip installed from (PEP 610); empty where it installed something else."""
    try:
        text = distribution("muse-stream").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    return str(json.loads(text or "{}").get("vcs_info", {}).get("commit_id", ""))
