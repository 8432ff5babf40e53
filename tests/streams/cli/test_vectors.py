import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from muse_stream.streams.cli import main
from muse_stream.streams.kafka.embedded import EmbeddedKafka

RUNNER = CliRunner()
COUNT = 24
FAST = ("--epochs", "2", "--batch", "32", "--queue", "32", "--threads", "1")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    generator = np.random.default_rng(1)
    items = tmp_path / "items.parquet"
    title = [f"{'red' if row % 2 else 'blue'} thing {row}" for row in range(COUNT)]
    pq.write_table(pa.table({"item": range(1, COUNT + 1), "title": title}), items)
    rows = [
        {"user": basket + 1, "item": int(row) * 2 + basket % 2 + 1, "event_time_ms": 1 + basket, "action": "purchase"}
        for basket in range(60)
        for row in generator.choice(COUNT // 2, 4, replace=False)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ["--items", str(items), "--purchases", str(log)]


def vectors(*arguments: str) -> Result:
    return RUNNER.invoke(main, ["vectors", *arguments])


@pytest.mark.parametrize("kind", ["train", "tfidf", "random", "copurchase"])
def test_every_kind_writes_its_vectors_and_says_what_they_are_worth(
    kind: str, inputs: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "vectors.parquet"
    more = FAST if kind == "train" else ()
    result = vectors(kind, *inputs, *more, "--dimension", "64", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    table = pq.read_table(out)
    assert document["with_vector"] == table.num_rows > 0
    assert table.schema.field("vector").type == pa.list_(pa.int8(), 64)
    assert document["quality"]["pairs"] == 48
    assert 0 <= document["quality"]["recall"] <= 1
    assert (document["before"] is not None) == (kind == "train")


def test_training_tells_its_progress_line_by_line(inputs: list[str]) -> None:
    result = vectors("train", *inputs, *FAST)
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert lines[0].startswith("untrained, recall@10 ")
    assert lines[1].startswith("epoch 1 of 2: loss ")
    assert lines[2].endswith(" pairs/s, 0 s left")
    assert "recall@10 of a later companion" in result.stdout


def test_a_moment_after_all_purchases_learns_from_all_and_judges_nothing(inputs: list[str]) -> None:
    result = vectors("copurchase", *inputs, "--until", "1970-01-02")
    assert result.exit_code == 0, result.output
    assert "too few purchases with a companion after 1970-01-02 00:00 UTC: not judged" in result.stdout


def test_compare_has_a_row_for_each_kind(inputs: list[str]) -> None:
    result = vectors("compare", *inputs, "--seeds", "2", "--epochs", "1")
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ")[0] for line in result.stdout.splitlines() if line.startswith("| ")]
    assert rows == ["| vectors", "| ---", "| scl", "| tfidf", "| random", "| copurchase"]
    assert "48 held-out pairs" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--until", "1969-01-01"], 1, "only 0 of 0 purchases"),
        (["--publish"], 1, "no space None of dimension 128; items.spaces has v1 (128)"),
        (["--publish", "--space", "v1", "--dimension", "64"], 1, "no space 'v1' of dimension 64"),
        (["--space", "v1"], 2, "--space is for --publish"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_learnt(
    arguments: list[str], code: int, said: str, inputs: list[str]
) -> None:
    result = vectors("train", *inputs, *FAST, *arguments)
    assert result.exit_code == code, result.output
    assert said in " ".join(result.output.split())
    assert "untrained" not in result.output


def test_items_without_purchases_are_refused(inputs: list[str]) -> None:
    result = vectors("tfidf", *inputs[:2])
    assert result.exit_code == 2
    assert "--items and --purchases belong together" in result.output


@pytest.mark.kafka
def test_vectors_are_published_and_acknowledged(inputs: list[str], kafka: EmbeddedKafka) -> None:
    place = ["--brokers", kafka.bootstrap, "--set", f"topics.prefix=t{uuid.uuid4().hex[:8]}-"]
    assert RUNNER.invoke(main, ["topics", "create", *place]).exit_code == 0
    result = vectors("random", *inputs, "--publish", "--space", "v1", *place)
    assert result.exit_code == 0, result.output
    assert f"{COUNT} items published, all acknowledged" in result.stdout
