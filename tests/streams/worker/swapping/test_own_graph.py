"""A model of one's own, an ONNX graph: swapped in, shadowed and refused like ours."""

import numpy as np
import pytest

from muse_stream.esu_scorer import OnnxArtefact, load_model
from muse_stream.streams.serving.pipeline import Pipeline
from muse_stream.streams.worker.swapping.shadow import Shadow
from muse_stream.streams.worker.swapping.target import Target
from tests.esu_scorer.onnx_making import K, R, graph
from tests.streams.serving.test_pipeline import ask
from tests.streams.worker.swapping.conftest import until
from tests.streams.worker.swapping.world import World, artefact

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def put_graph(world: World, name: str, space: str = "v1") -> Target:
    made = OnnxArtefact.of(
        graph(), candidate=("item", "category", "band"), user=("country",), space=space, version="mine", k=K, r=R
    )
    made.save(world.directory / name)
    return Target(name, made.manifest.digest)


def expected(world: World, items: list[int]) -> list[float]:
    """By the graph's own words: a sigmoid of the summed cosines and of a tenth of the item modulo 10."""
    (found,) = world.ask(ask(1, items, want="retrieved", k=K))
    sums = np.array([row[:count].sum() for row, count in zip(found.result.scores, found.result.count, strict=True)])
    logits: list[float] = (1 / (1 + np.exp(-(sums + np.array(items) % 10 / 10)))).tolist()
    return logits


@pytest.mark.parametrize("space", ["v1", "v2"])
def test_a_graph_takes_over_with_its_space_and_goes_again(world: World, space: str) -> None:
    first = world.begin()
    world.behave(1, [2, 9, 4, 17, 30, 8, 44] * 3)
    kept, own = world.keeper(), put_graph(world, "own", space)
    kept.want(own)
    until(lambda: world.reloads("swapped") == 1, "a swap")
    (found,) = world.ask(ask(1, [9, 5, 3]))
    assert found.live.info is not None
    assert (found.live.info.digest, found.live.space) == (own.digest, space)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected(world, [9, 5, 3]), atol=1e-6)
    kept.want(first)
    until(lambda: world.reloads("swapped") == 2, "back")


def test_a_graph_shadows(world: World) -> None:
    world.begin()
    world.behave(1, [2, 9, 4] * 5)
    put_graph(world, "own")
    shadow = Shadow(world.shadow, Pipeline(world.parts()), world.metrics.shadow, lambda: 0)
    world.shadow.install("own", world.engines.bundle(load_model(world.directory / "own", device="cpu")), 1.0)
    shadow.start()
    try:
        asked = ask(1, [9, 5, 3])
        shadow.offer([asked], world.ask(asked))
        until(lambda: world.value("muse_shadow_requests_total", outcome="compared") == 1, "a comparison")
        assert world.value("muse_shadow_score_difference_ratio_sum") != 0
    finally:
        shadow.close()


def test_a_graph_that_was_changed_is_refused_and_the_old_one_stays(world: World) -> None:
    world.begin()
    own = put_graph(world, "own")
    file = world.directory / "own" / "model.onnx"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    world.keeper().want(own)
    until(lambda: world.reloads("refused") == 1, "a refusal")
    assert world.live.running is not None
    assert world.live.live.info is not None
    assert world.live.live.info.digest == artefact("v1", 1).digest
