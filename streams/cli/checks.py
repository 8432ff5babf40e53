"""What `muse-stream check` looks at; each look gives findings of one line, and never changes anything.

Invariant: a look does not raise for what it finds: a broker that is away is a finding, with advice.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from muse_stream.esu_scorer import StoreError
from muse_stream.gsu_engine.backends import choose
from muse_stream.gsu_engine.errors import BackendError
from muse_stream.state.errors import StateError, StoreLockedError
from muse_stream.state.items import ItemStore
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import StoreIdentity
from muse_stream.streams.clients import open_admin, wanted_topics
from muse_stream.streams.demo.http import Reply, get_json
from muse_stream.streams.errors import KafkaError
from muse_stream.streams.kafka.admin import cluster_id
from muse_stream.streams.kafka.topic_admin import check_topics
from muse_stream.streams.models.opening import open_store
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.data_plane import ITEMS_DIRECTORY

BROKER_MS = 3_000  # a person waits; a broker that needs longer to say hello is worth a line of its own

Verdict = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, whether it is fine, what was found, what to do (empty: nothing)."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that answered: its id, None where none did."""

    id: str | None


def all_findings(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """Look at everything, in the order in which things depend on each other."""
    source = f"file {config}" if config else "no file"
    yield Finding("settings", "ok", f"valid ({source}, environment, flags); application {settings.app.name}")
    cluster, found = broker(settings)
    yield from found
    worker = get_json(_base(settings) + "/v1/status")
    yield from stores(settings, cluster)
    yield from model_store(settings)
    yield from vectors(settings, cluster, worker)
    yield from running_worker(settings, worker)
    yield gpu(worker)


def broker(settings: Settings) -> tuple[Cluster, list[Finding]]:
    """Whether the brokers answer, and whether the topics are as they must be."""
    try:
        with open_admin(settings, timeout_ms=BROKER_MS) as admin:
            cluster = cluster_id(admin)
            topics = check_topics(admin, wanted_topics(settings))
    except KafkaError as error:
        advice = "start one with: muse-stream kafka; or name another with --brokers"
        away = [Finding("broker", "wrong", str(error), advice), Finding("topics", "note", "not looked at")]
        return Cluster(None), away
    found = [Finding(f"topic {one.name}", "ok" if one.ok else "wrong", one.text) for one in topics]
    return Cluster(cluster), [Finding("broker", "ok", f"{settings.kafka.brokers}, cluster {cluster}"), *found]


def stores(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    """The stores on this disk: readable, of this cluster and this partition count."""
    directory = settings.state.directory
    paths = sorted(directory.glob("behaviours-*"))
    if not paths:
        yield Finding("stores", "note", f"none in {directory.resolve()}", "a worker creates them at its first start")
    for path in paths:
        try:
            with closing(StoreReader.open(path)) as reader:
                wrong = _foreign(reader.identity, settings, cluster)
                text = f"{path.name} at offset {reader.position:,}, users {reader.users_position:,}"
        except StateError as error:
            yield Finding("store", "wrong", str(error))
            continue
        yield Finding("store", "wrong" if wrong else "ok", text, wrong)


def model_store(settings: Settings) -> Iterator[Finding]:
    """The model store, where there is one: it answers, and which models in it cannot be used."""
    if settings.model.store is None:
        return
    try:
        store = open_store(settings)
        entries = store.entries() if store else []
    except StoreError as error:
        yield Finding("model store", "wrong", str(error))
        return
    yield Finding("model store", "ok", f"{len(entries)} models at {settings.model.store}")
    for entry in entries:
        if entry.problem is not None:
            yield Finding("model", "note", f"{entry.name}: {entry.problem}")


def _foreign(identity: StoreIdentity, settings: Settings, cluster: Cluster) -> str:
    if cluster.id is not None and identity.cluster_id != cluster.id:
        return f"built from cluster {identity.cluster_id}; use its brokers, or another data directory"
    if identity.topic != settings.topics.behaviours:
        return f"built from topic {identity.topic}; set topics.prefix to match, or use another data directory"
    if identity.partition_count != settings.topics.partitions:
        return f"built for {identity.partition_count} partitions; set topics.partitions to that"
    return ""


def vectors(settings: Settings, cluster: Cluster, worker: Reply) -> Iterator[Finding]:
    """The vector table, as the running worker tells it, or else the items on this disk."""
    if worker.status == 200:
        rows, version = worker.body["engine"]["vectors"], worker.body["items"]["version"]
        advice = "" if rows else "send items with vectors to the items topic"
        text = f"{rows:,} vectors in space {worker.body['space']}, items version {version:,}"
        yield Finding("vector table", "ok" if rows else "note", text, advice)
        return
    path = settings.state.directory / ITEMS_DIRECTORY
    if not path.is_dir() or cluster.id is None:
        yield Finding("vector table", "note", "no worker runs; no copy of the items to look at")
        return
    try:
        with closing(ItemStore.open(path, StoreIdentity(cluster.id, settings.topics.items, 0, 1))) as store:
            yield Finding("vector table", "ok", f"{store.stats().rows:,} items on disk, version {store.position:,}")
    except StoreLockedError:
        yield Finding("vector table", "note", f"{path} is in use by a worker that does not answer")
    except StateError as error:
        yield Finding("vector table", "wrong", str(error))


def running_worker(settings: Settings, status: Reply) -> Iterator[Finding]:
    """The worker at the address of the settings: ready, and if not, which check says so."""
    base = _base(settings)
    if status.status == 0:
        yield Finding("worker", "note", f"none answers at {base}", "start one with: muse-stream worker")
        return
    ready = get_json(f"{base}/health/ready")
    if ready.status == 200:
        yield Finding("worker", "ok", f"ready at {base}, owns partitions {status.body.get('owned')}")
        return
    for check in ready.body.get("checks", ()):
        if not check["ok"]:
            yield Finding("worker", "wrong", f"not ready: {check['name']}: {check['detail']}", check["advice"])


def gpu(worker: Reply, open_backend: Callable[[str], tuple[object, str]] = choose) -> Finding:
    """What the running worker says of its GPU, or else whether searches could run on one here, and why not."""
    used = worker.body["engine"].get("gpu") if worker.status == 200 else None
    if used and used["lost"]:
        advice = "look at the driver's log (dmesg, nvidia-smi), then restart the worker; until then the CPU answers"
        return Finding("gpu", "wrong", f"{used['name']} is lost: {used['lost']}", advice)
    if used:
        return Finding("gpu", "ok", f"{used['name']}, in use: {used['resident_users']:,} users are resident")
    try:
        _, why = open_backend("cuda")
    except BackendError as error:
        return Finding("gpu", "note", f"not used: {error}")
    return Finding("gpu", "ok", why)


def _base(settings: Settings) -> str:
    return f"http://{settings.http.host}:{settings.http.port}"
