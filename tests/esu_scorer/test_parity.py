import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from muse_stream.esu_scorer import Artefact, MuseConfig, ScoreBatch, Scorer, Vocabulary
from muse_stream.esu_scorer.errors import ParityError
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.parity import check_parity
from muse_stream.esu_scorer.reference import (
    Array,
    cosines,
    get_array,
    read_reference,
    reference_network,
    reference_spec,
)

REFERENCE = Path(__file__).parent / "data" / "muse_reference.npz"
STAGES = {
    "recent_cosine",
    "top_cosine",
    "recent_simtier",
    "top_simtier",
    "recent_attention",
    "sa_ta",
    "tower_input",
    "logits",
    "probability",
    "loss",
}


@pytest.fixture(scope="module")
def arrays() -> dict[str, Array]:
    return read_reference(REFERENCE)


def save(path: Path, arrays: dict[str, Array], **changed: Array | None) -> Path:
    """Write `arrays` with some replaced, or left out where None."""
    kept = {name: array for name, array in (arrays | changed).items() if array is not None}
    np.savez(path, **kept)  # type: ignore[arg-type]
    return path


def test_every_stage_of_the_released_network_is_reproduced() -> None:
    report = check_parity(REFERENCE)
    assert {stage.stage for stage in report.stages} == STAGES
    assert {stage.stage: stage.largest_error for stage in report.stages if stage.largest_error > 1e-5} == {}
    assert report.passed
    assert report.largest_error <= 1e-5


def test_ids_through_the_scorer_reproduce_it_too(arrays: dict[str, Array]) -> None:
    """Every embedding of the reference becomes a table row, so that the serving path itself is compared."""
    artefact, batch = as_served(arrays)
    wanted = arrays["out/probability"][:, 1].astype(np.float32)
    np.testing.assert_allclose(Scorer(artefact).score(batch), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("param/realtime_att.query_fcs.0.linears.0.bias", "recent_attention"),
        ("param/uni_att_v2.cosine_tau2", "sa_ta"),
        ("param/all_seq_image_res.rt_simtier.emb", "recent_simtier"),
        ("param/fc_tower.act_layers.2.dice_gamma", "logits"),
        ("in/recent_item", "recent_attention"),
    ],
)
def test_a_changed_weight_or_input_is_found(arrays: dict[str, Array], tmp_path: Path, name: str, stage: str) -> None:
    changed = arrays[name].astype(np.float32) + np.float32(0.05)
    report = check_parity(save(tmp_path / "changed.npz", arrays, **{name: changed}))
    errors = {found.stage: found.largest_error for found in report.stages}
    assert not report.passed
    assert errors[stage] > 1e-5
    assert errors["top_cosine"] <= 1e-5


def test_an_output_that_is_not_a_number_fails(arrays: dict[str, Array], tmp_path: Path) -> None:
    wanted = np.array(arrays["out/logits"])
    wanted[0, 0] = np.nan
    report = check_parity(save(tmp_path / "nan.npz", arrays, **{"out/logits": wanted}))
    assert not report.passed
    assert np.isnan(report.largest_error)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("param/uni_att_v2.cosine_tau2", None, "no array 'param/uni_att_v2.cosine_tau2'"),
        ("param/uni_att_v2.cosine_tau2", np.ones(4, np.float32), "our network wants"),
        ("in/label", None, "no array 'in/label'"),
        ("in/recent_item", np.ones((16, 50), np.float32), "expected 3 axes"),
        ("in/recent_category", np.ones((16, 49, 16), np.float32), "do not fit together"),
        ("out/attention_map", np.ones(3), "no such stage"),
        ("out/logits", np.ones((16, 3)), "our network gives"),
    ],
)
def test_a_file_of_another_form_is_told(
    arrays: dict[str, Array], tmp_path: Path, name: str, value: Array | None, told: str
) -> None:
    with pytest.raises(ParityError, match=told):
        check_parity(save(tmp_path / "other.npz", arrays, **{name: value}))


def test_a_file_without_outputs_does_not_pass(arrays: dict[str, Array], tmp_path: Path) -> None:
    nothing = {name: None for name in arrays if name.startswith("out/")}
    with pytest.raises(ParityError, match="nothing to compare"):
        check_parity(save(tmp_path / "empty.npz", arrays, **nothing))


def test_what_is_no_reference_file_is_told(tmp_path: Path) -> None:
    cut = tmp_path / "cut.npz"
    cut.write_bytes(REFERENCE.read_bytes()[:100_000])
    text = tmp_path / "text.npz"
    text.write_text("not a zip file")
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    hollow = tmp_path / "hollow.npz"
    with zipfile.ZipFile(hollow, "w"):
        pass
    for path in (cut, text, single, hollow, tmp_path / "nowhere.npz"):
        with pytest.raises(ParityError):
            check_parity(path)


def as_served(arrays: dict[str, Array]) -> tuple[Artefact, ScoreBatch]:
    """An artefact whose tables hold the reference's embeddings, and the batch of ids that looks them up."""
    spec = reference_spec(arrays)
    per_feature = {name: [get_array(arrays, f"in/ad_{i}")] for i, name in enumerate(spec.candidate_names)}
    per_feature |= {name: [get_array(arrays, f"in/user_{i}")] for i, name in enumerate(spec.user_names)}
    for kind in ("item", "category"):
        per_feature[kind] += [arrays[f"in/recent_{kind}"], arrays[f"in/top_{kind}"]]
    ids, rows = {}, {}
    for name, parts in per_feature.items():
        counts = np.cumsum([0] + [part[..., 0].size for part in parts])
        rows[name] = np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])
        ids[name] = [np.arange(a + 1, b + 1) for a, b in pairwise(counts.tolist())]
    known = {name: Vocabulary.of(np.concatenate(parts)) for name, parts in ids.items()}
    network = reference_network(arrays, spec)
    model = Model(spec, MuseConfig(), {name: vocabulary.row_count for name, vocabulary in known.items()})
    model.reset(0)
    model.network.load_state_dict(network.state_dict())
    for name, table in rows.items():
        weight = model.embeddings.table(name).weight.data
        weight[1:] = weight.new_tensor(table)
    target = get_array(arrays, "in/target_vector")
    shape = arrays["in/recent_item"].shape[:2]
    batch = ScoreBatch(
        user_features=np.stack([ids[name][0] for name in spec.user_names], axis=1),
        recent_item=ids["item"][1].reshape(shape),
        recent_category=ids["category"][1].reshape(shape),
        recent_mask=np.ones(shape, np.bool_),
        bounds=np.arange(shape[0] + 1),
        candidate_features=np.stack([ids[name][0] for name in spec.candidate_names], axis=1),
        recent_cosine=cosines(target, arrays["in/recent_vector"]),
        recent_cosine_present=np.ones(shape, np.bool_),
        retrieved_item=ids["item"][2].reshape(shape),
        retrieved_category=ids["category"][2].reshape(shape),
        retrieved_cosine=cosines(target, arrays["in/top_vector"]),
        retrieved_mask=np.ones(shape, np.bool_),
    )
    return Artefact.from_model(model, known, space="v1", version="reference", trained=False), batch
