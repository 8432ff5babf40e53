"""The model store, in a directory and at a remote location: what it lists, gives and refuses."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from muse_stream.esu_scorer import Artefact, ArtefactError, ModelStore, StoreError, store_cache
from muse_stream.esu_scorer.errors import (
    StoreDigestError,
    StoreIncompleteError,
    StoreMissingError,
    StoreNameError,
    StoreUnreachableError,
)
from muse_stream.esu_scorer.onnx_artefact import OnnxArtefact

from .making import RETAIL, artefact
from .onnx_making import own_artefact

Change = Callable[[bytes], bytes]
MANIFEST, TENSORS = "artefact.json", "tensors.safetensors"


class Place:
    """A location, and a way to put files there, whichever kind it is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fs, self.root = fsspec.core.url_to_fs(url)

    def add(self, name: str, made: Artefact, scratch: Path) -> Artefact:
        made.save(scratch / name)
        for file in (MANIFEST, TENSORS):
            self.write(name, file, (scratch / name / file).read_bytes())
        return made

    def write(self, name: str, file: str, data: bytes) -> None:
        self.fs.makedirs(f"{self.root}/{name}", exist_ok=True)
        self.fs.pipe_file(f"{self.root}/{name}/{file}", data)

    def read(self, name: str, file: str) -> bytes:
        return bytes(self.fs.cat_file(f"{self.root}/{name}/{file}"))

    def remove(self, name: str, file: str) -> None:
        self.fs.rm_file(f"{self.root}/{name}/{file}")


@pytest.fixture(params=["directory", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = str(tmp_path / "store") if request.param == "directory" else f"memory://{tmp_path}/store"
    made = Place(url)
    made.fs.makedirs(made.root)
    return made


@pytest.fixture
def store(place: Place, tmp_path: Path) -> ModelStore:
    return ModelStore(place.url, tmp_path / "cache")


@pytest.fixture
def made(place: Place, tmp_path: Path) -> Artefact:
    """The one model of the store, `one`."""
    return place.add("one", artefact(seed=1), tmp_path / "scratch")


def test_entries_say_what_the_manifests_say(place: Place, store: ModelStore, made: Artefact, tmp_path: Path) -> None:
    place.add("another", artefact(seed=2), tmp_path / "scratch")
    place.write(".one.half", MANIFEST, b"{}")
    place.write(".", "README.txt", b"models of the shop")
    assert [entry.name for entry in store.entries()] == ["another", "one"]
    entry = store.entry("one")
    assert (entry.digest, entry.version, entry.format) == (made.digest, "test-1", "muse-esu")
    assert (entry.space, entry.k, entry.r, entry.trained, entry.features) == ("v1", 50, 50, False, RETAIL)
    assert entry.size_bytes == len(place.read("one", MANIFEST)) + len(place.read("one", TENSORS))
    assert entry.created_ms > 1_700_000_000_000
    assert entry.problem is None
    assert store.by_digest(made.digest) == entry
    assert store.by_digest("0" * 64) is None
    assert store.manifest("one")["digest"] == made.digest


def test_fetch_gives_a_whole_artefact(store: ModelStore, made: Artefact) -> None:
    for digest in (None, made.digest):
        assert Artefact.load(store.fetch("one", digest)).digest == made.digest
    assert store.verify("one", made.digest) == store.entry("one")


def test_a_format_that_only_names_its_features_is_listed(place: Place, store: ModelStore) -> None:
    features = {"candidate": ["item", "category", "price_band"], "user": ["country"]}
    manifest = {"format": "muse-onnx", "format_version": 1, "version": "mine", "space": "v2", "features": features}
    place.write("graph", MANIFEST, json.dumps({**manifest, "digest": "c" * 64}).encode())
    place.write("graph", "model.onnx", bytes(1000))
    entry = store.entry("graph")
    assert (entry.format, entry.digest, entry.space, entry.problem) == ("muse-onnx", "c" * 64, "v2", None)
    assert entry.features is not None
    assert entry.features.candidate_names == ("item", "category", "price_band")
    assert entry.features.user_names == ("country",)
    assert (entry.k, entry.r, entry.trained) == (50, 50, True)


def test_a_model_of_your_own_is_kept_like_ours(store: ModelStore, tmp_path: Path) -> None:
    own = own_artefact()
    own.save(tmp_path / "run")
    assert store.add("mine", tmp_path / "run").format == "muse-onnx"
    assert store.verify("mine", own.manifest.digest).problem is None
    assert OnnxArtefact.load(store.fetch("mine")).manifest == own.manifest


@pytest.mark.usefixtures("made")
def test_another_digest_is_refused(store: ModelStore) -> None:
    with pytest.raises(StoreDigestError, match=r"one has digest \w{12}…, asked for 000000000000….*activate it again"):
        store.fetch("one", "0" * 64)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("name", ["two", "..", ".", "", "../store/one", "one/", "one/artefact.json", "a b"])
def test_a_model_that_is_not_there(store: ModelStore, name: str) -> None:
    with pytest.raises(StoreMissingError, match=r"has no model .* \(there: one\).*models list"):
        store.fetch(name)


@pytest.mark.usefixtures("made")
def test_half_written_models_are_seen(place: Place, store: ModelStore) -> None:
    whole = place.read("one", TENSORS)
    place.write("one", TENSORS, whole[: len(whole) // 2])
    with pytest.raises(StoreIncompleteError, match=r"half-written: [\d,]+ bytes of its tensors are missing; copy"):
        store.fetch("one")
    place.remove("one", TENSORS)
    assert "half-written" in str(store.entry("one").problem)
    place.write("one", TENSORS, whole)
    assert store.entry("one").problem is None
    place.remove("one", MANIFEST)
    place.write("one", "notes.txt", b"")
    with pytest.raises(StoreIncompleteError, match=r"half-written: no artefact\.json among \['notes"):
        store.fetch("one")
    with pytest.raises(StoreIncompleteError, match=r"has no artefact\.json"):
        store.manifest("one")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:100],
        lambda data: b"\xff\xfe" + data,
        lambda data: b"[]",
        lambda data: json.dumps({**json.loads(data), "digest": "../../../etc"}).encode(),
        lambda data: json.dumps({**json.loads(data), "digest": ""}).encode(),
        lambda data: json.dumps({**json.loads(data), "features": {"candidate": [], "user": []}}).encode(),
    ],
)
@pytest.mark.usefixtures("made")
def test_a_manifest_that_cannot_be_read_is_a_problem(place: Place, store: ModelStore, change: Change) -> None:
    place.write("one", MANIFEST, change(place.read("one", MANIFEST)))
    (entry,) = store.entries()
    assert (entry.name, entry.digest) == ("one", "")
    assert "artefact.json cannot be read" in str(entry.problem)
    assert "export or copy it again" in str(entry.problem)
    with pytest.raises(StoreIncompleteError, match="cannot be read"):
        store.fetch("one")


def test_a_changed_value_is_found_by_loading(place: Place, store: ModelStore, made: Artefact, tmp_path: Path) -> None:
    data = bytearray(place.read("one", TENSORS))
    data[-2] ^= 1
    place.write("one", TENSORS, bytes(data))
    with pytest.raises(StoreIncompleteError, match=r"is not whole: .*copy the artefact again"):
        store.verify("one", made.digest)
    assert not [path for path in tmp_path.glob("cache/*") if not path.name.startswith(".")]


@pytest.mark.usefixtures("made")
def test_a_folder_of_an_odd_name_is_told(place: Place, store: ModelStore) -> None:
    place.write("my model", MANIFEST, b"{}")
    assert ["no name of a model" in str(entry.problem) for entry in store.entries()] == [True, False]


def test_a_location_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="look at the address"):
        ModelStore(str(tmp_path / "nothing"), tmp_path).entries()
    with pytest.raises(StoreUnreachableError, match="a URL of a kind that fsspec knows"):
        ModelStore("nosuch://bucket/models", tmp_path)


def test_what_is_added_is_there(store: ModelStore, tmp_path: Path) -> None:
    made = artefact(seed=1)
    made.save(tmp_path / "run" / "artefact")
    assert store.add("one", tmp_path / "run" / "artefact").digest == made.digest
    assert [entry.problem for entry in store.entries()] == [None]
    assert store.verify("one", made.digest).digest == made.digest
    with pytest.raises(StoreNameError, match="never overwritten; choose another name"):
        store.add("one", tmp_path / "run" / "artefact")
    for name in ("../two", ".two", "", "a/b"):
        with pytest.raises(StoreNameError, match="is no name of a model"):
            store.add(name, tmp_path / "run" / "artefact")


def test_what_is_not_whole_is_not_added(store: ModelStore, tmp_path: Path) -> None:
    artefact().save(tmp_path / "run")
    tensors = tmp_path / "run" / TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-10])
    with pytest.raises(ArtefactError, match="copy the artefact again"):
        store.add("one", tmp_path / "run")
    assert store.entries() == []


def test_links_are_followed(tmp_path: Path) -> None:
    made = artefact()
    made.save(tmp_path / "elsewhere" / "one")
    root = tmp_path / "store"
    (root / "linked_files").mkdir(parents=True)
    (root / "current").symlink_to(tmp_path / "elsewhere" / "one")
    (root / "dead").symlink_to(tmp_path / "nothing")
    for file in (MANIFEST, TENSORS):
        (root / "linked_files" / file).symlink_to(tmp_path / "elsewhere" / "one" / file)
    store = ModelStore(str(root), tmp_path / "cache")
    assert [(entry.name, entry.problem) for entry in store.entries()] == [("current", None), ("linked_files", None)]
    for name in ("current", "linked_files"):
        assert Artefact.load(store.fetch(name, made.digest)).digest == made.digest


@pytest.fixture
def remote(tmp_path: Path) -> Place:
    return Place(f"memory://{tmp_path}/remote")


def test_a_copy_is_made_once(remote: Place, tmp_path: Path) -> None:
    made = remote.add("one", artefact(), tmp_path / "scratch")
    store = ModelStore(remote.url, tmp_path / "cache")
    path = store.fetch("one")
    assert path == tmp_path / "cache" / made.digest
    before = (path / TENSORS).stat()
    assert store.fetch("one", made.digest) == path
    assert (path / TENSORS).stat().st_ino == before.st_ino


def test_the_cache_keeps_what_was_used_last(remote: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_cache, "KEPT", 2)
    store, cache = ModelStore(remote.url, tmp_path / "cache"), tmp_path / "cache"
    digests = [remote.add(f"m{seed}", artefact(seed), tmp_path / "scratch").digest for seed in range(3)]
    for age, (name, digest) in enumerate(zip(("m0", "m1"), digests, strict=False)):
        store.fetch(name)
        os.utime(cache / digest, (1_000 + age, 1_000 + age))
    store.fetch("m0")
    store.fetch("m2")
    assert {path.name for path in cache.iterdir()} == {digests[0], digests[2]}


def test_unfinished_copies_go_after_a_day(remote: Place, tmp_path: Path) -> None:
    remote.add("one", artefact(), tmp_path / "scratch")
    cache = tmp_path / "cache"
    for name in (".a.old", ".b.new"):
        (cache / name).mkdir(parents=True)
    os.utime(cache / ".a.old", (1_000, 1_000))
    ModelStore(remote.url, cache).fetch("one")
    assert [path.name for path in cache.glob(".*")] == [".b.new"]


def test_many_threads_fetch_one_model(remote: Place, tmp_path: Path) -> None:
    made = remote.add("one", artefact(), tmp_path / "scratch")
    store, start = ModelStore(remote.url, tmp_path / "cache"), threading.Barrier(4)
    found: list[str] = []

    def fetch() -> None:
        start.wait()
        found.append(Artefact.load(store.fetch("one")).digest)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [made.digest] * 4


def test_another_process_may_be_faster(tmp_path: Path) -> None:
    made = artefact()
    made.save(tmp_path / "one")

    def copy(into: Path) -> None:
        shutil.copytree(tmp_path / "one", into, dirs_exist_ok=True)

    def copy_slowly(into: Path) -> None:
        faster.append(store_cache.cached(tmp_path / "cache", made.digest, copy))
        copy(into)

    faster: list[Path] = []
    assert store_cache.cached(tmp_path / "cache", made.digest, copy_slowly) == faster[0]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [made.digest]


def test_what_was_fetched_stays_when_the_location_is_gone(remote: Place, tmp_path: Path) -> None:
    remote.add("one", artefact(), tmp_path / "scratch")
    store = ModelStore(remote.url, tmp_path / "cache")
    path = store.fetch("one")
    remote.fs.rm(remote.root, recursive=True)
    with pytest.raises(StoreError):
        store.fetch("one")
    assert Artefact.load(path)


def test_a_model_replaced_while_it_is_copied(remote: Place, tmp_path: Path) -> None:
    """The manifest of one, the tensors of the other: what an upload over an old model looks like half way."""
    remote.add("one", artefact(1), tmp_path / "scratch")
    shutil.rmtree(tmp_path / "scratch")
    other = artefact(2)
    other.save(tmp_path / "scratch" / "one")
    remote.write("one", TENSORS, (tmp_path / "scratch" / "one" / TENSORS).read_bytes())
    with pytest.raises(StoreIncompleteError, match="is not whole"):
        ModelStore(remote.url, tmp_path / "cache").fetch("one")
