"""What is told of the build."""

import json
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from muse_stream.streams.worker import build


def test_torch_is_named_and_nothing_is_missing() -> None:
    told = build.built()
    assert set(told) == {"commit", "torch", "cuda"}
    assert told["torch"] == str(torch.__version__)


def test_an_image_says_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(build.COMMIT_VARIABLE, "abc123")
    assert build.built()["commit"] == "abc123"


@pytest.mark.parametrize(
    ("record", "commit"),
    [({"vcs_info": {"vcs": "git", "commit_id": "f00"}}, "f00"), ({"dir_info": {}}, ""), (None, "")],
)
def test_else_pip_knows_where_it_installed_from(monkeypatch: pytest.MonkeyPatch, record: object, commit: str) -> None:
    monkeypatch.delenv(build.COMMIT_VARIABLE, raising=False)
    text = None if record is None else json.dumps(record)
    monkeypatch.setattr(build, "distribution", lambda _: SimpleNamespace(read_text=lambda _: text))
    assert build.built()["commit"] == commit


def test_a_tree_that_is_not_installed_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.delenv(build.COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(build, "distribution", missing)
    assert build.built()["commit"] == ""
