import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from muse_stream.esu_scorer import Artefact
from muse_stream.esu_scorer.data import Block, Part
from muse_stream.esu_scorer.errors import DataError, TrainingError
from muse_stream.esu_scorer.training import Progress, TrainingConfig, train

from .test_run import same, trained
from .world import RECIPE, SMALL, SmallSource, make

CHILD = """
import os, sys
from pathlib import Path
import msgspec
from muse_stream.esu_scorer.training import train
from tests.esu_scorer.training.world import RECIPE, SMALL, SmallSource, make

def told(progress):
    if progress.stage == "training" and progress.done >= int(sys.argv[2]):
        os.kill(os.getpid(), 9)

config = msgspec.convert(msgspec.json.decode(sys.argv[3]), type(SMALL))
train(SmallSource(), RECIPE, make, config, Path(sys.argv[1]), told=told)
"""
TWO_EPOCHS = msgspec.structs.replace(SMALL, epochs=2, evaluate_batches=5)


class StoppedError(Exception):
    pass


def stop_after(directory: Path, samples: int, config: TrainingConfig = SMALL) -> None:
    def told(progress: Progress) -> None:
        if progress.stage == "training" and progress.done >= samples:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(SmallSource(), RECIPE, make, config, directory, told=told)


def batches_of(directory: Path) -> list[int]:
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["batch"] for line in lines if "loss" in json.loads(line)]


@pytest.mark.parametrize("samples", [250, 500, 700])
def test_killed_and_resumed_is_as_not_killed(tmp_path: Path, samples: int) -> None:
    text = msgspec.json.encode(TWO_EPOCHS).decode()
    killed = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path / "a"), str(samples), text], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "a" / "report.json").exists()
    told: list[Progress] = []
    resumed = train(SmallSource(), RECIPE, make, TWO_EPOCHS, tmp_path / "a", told=told.append)
    first = next(progress for progress in told if progress.stage == "training")
    assert 50 < first.done <= samples
    assert "counting" not in {progress.stage for progress in told}
    straight = trained(tmp_path / "b", TWO_EPOCHS)
    assert same(Artefact.load(resumed.artefact), straight)
    assert Artefact.load(resumed.artefact).digest == straight.digest
    assert batches_of(tmp_path / "a") == batches_of(tmp_path / "b")


def test_stopped_at_every_batch_is_as_not_stopped(tmp_path: Path) -> None:
    straight = trained(tmp_path / "straight")
    for samples in range(50, 401, 50):
        stop_after(tmp_path / "a", samples)
    assert same(trained(tmp_path / "a"), straight)


def test_stopped_between_training_and_report_is_finished(tmp_path: Path) -> None:
    straight = trained(tmp_path / "a")
    (tmp_path / "a" / "report.json").unlink()
    told: list[Progress] = []
    result = train(SmallSource(), RECIPE, make, SMALL, tmp_path / "a", told=told.append)
    assert not result.before
    assert "training" not in {progress.stage for progress in told}
    assert Artefact.load(result.artefact).digest == straight.digest


def test_the_newest_two_checkpoints_are_kept_and_nothing_of_them_is_pickled(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    kept = sorted(path.name for path in (tmp_path / "a" / "checkpoints").iterdir())
    assert kept == ["batch-000000006", "batch-000000008"]
    for name in kept:
        files = sorted(path.name for path in (tmp_path / "a" / "checkpoints" / name).iterdir())
        assert files == ["checkpoint.json", "state.safetensors"]
    tensors = load_file(tmp_path / "a" / "checkpoints" / kept[-1] / "state.safetensors")
    assert tensors["optimiser/embeddings.tables.of_item.weight/step"].dtype == torch.int64
    assert int(tensors["optimiser/network.sa_ta.tau/step"]) == 8


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_serves(tmp_path: Path) -> None:
    straight = trained(tmp_path / "straight")
    stop_after(tmp_path / "a", 350)
    newest = tmp_path / "a" / "checkpoints" / "batch-000000006"
    data = bytearray((newest / "state.safetensors").read_bytes())
    data[-3] ^= 1
    (newest / "state.safetensors").write_bytes(data)
    with pytest.raises(TrainingError, match=r"batch-000000006 is damaged: .*CRC-32.*remove this directory"):
        trained(tmp_path / "a")
    shutil.rmtree(newest)
    assert same(trained(tmp_path / "a"), straight)


def test_other_samples_under_the_same_name_are_noticed(tmp_path: Path) -> None:
    stop_after(tmp_path / "a", 350)
    with pytest.raises(TrainingError, match="not those that this run learnt from"):
        trained(tmp_path / "a", source=SmallSource(salt=5))


def test_a_source_that_shrank_is_noticed(tmp_path: Path) -> None:
    stop_after(tmp_path / "a", 350)

    class Shrunken(SmallSource):
        def blocks(self, part: Part, *, seed: int | None = None) -> Iterator[Block]:
            yield next(super().blocks(part, seed=seed))

    with pytest.raises(DataError, match=r"has 37 samples, but 300 were learnt before"):
        trained(tmp_path / "a", source=Shrunken())
