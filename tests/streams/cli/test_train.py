import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from muse_stream.esu_scorer import Artefact
from muse_stream.streams.cli import main, train_command

RUNNER = CliRunner()
DATA = [
    *("--data", "planted", "--threads", "1", "--backend", "cpu", "--batch", "200"),
    *(
        word
        for pair in ("users=40", "length=300", "samples=1000", "clusters=60", "categories=6", "recent=20")
        for word in ("--data-option", pair)
    ),
]


def _train(out: Path, *more: str) -> Result:
    return RUNNER.invoke(main, ["train", *DATA, "--k", "10", "--recent", "20", "--out", str(out), *more])


def test_an_artefact_comes_out_and_the_same_command_does_nothing_more(tmp_path: Path) -> None:
    first = _train(tmp_path / "run", "--json")
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout.splitlines()[-1])
    artefact = Artefact.load(Path(said["artefact"]))
    assert said["digest"] == artefact.digest
    assert artefact.manifest.k == 10
    assert said["samples"] == 1_000
    assert said["validation"]["gauc"]["value"] == pytest.approx(artefact.manifest.metrics["gauc"])
    again = _train(tmp_path / "run")
    assert again.exit_code == 0
    assert "is finished already" in again.output
    assert "Made-up data" in again.output


def test_going_on_from_a_parent(tmp_path: Path) -> None:
    assert _train(tmp_path / "first", "--model", "din").exit_code == 0
    parent = tmp_path / "first" / "artefact"
    result = _train(tmp_path / "second", "--model", "din", "--parent", str(parent), "--seed", "2")
    assert result.exit_code == 0, result.output
    assert Artefact.load(tmp_path / "second" / "artefact").manifest.parent == Artefact.load(parent).digest


def test_a_run_of_other_settings_is_refused(tmp_path: Path) -> None:
    assert _train(tmp_path / "run", "--model", "din").exit_code == 0
    result = _train(tmp_path / "run", "--model", "din", "--seed", "5")
    assert result.exit_code == 1
    assert "training.seed is 1 there, 5 now" in result.output


def test_an_interrupt_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "train", interrupted)
    result = _train(tmp_path / "run")
    assert result.exit_code == 1
    assert "the same command goes on from the newest checkpoint" in result.output


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--batch", "0"), "`int` >= 1 - at `$.batch`"),
        (("--data-option", "users"), "is not KEY=VALUE"),
        (("--data-option", "dail=1"), "planted has no option 'dail'"),
        (("--model", "unknown"), "'din'"),
    ],
)
def test_wrong_flags_are_told_before_anything_is_read(tmp_path: Path, more: tuple[str, ...], text: str) -> None:
    result = _train(tmp_path / "run", *more)
    assert result.exit_code != 0
    assert text in result.output
    assert not (tmp_path / "run").exists()


def test_every_setting_of_a_training_is_a_flag_with_a_meaning() -> None:
    text = " ".join(RUNNER.invoke(main, ["train", "--help"]).output.split())
    assert "--minimum-count INTEGER An id seen less often has the unknown row." in text
    assert "--table-rate FLOAT Learning rate of SparseAdam" in text
