import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.cli import main
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.users import encode_profile

RUNNER = CliRunner()
PARTITIONS = 4
USER = 17850


def inspect(*arguments: str) -> Result:
    return RUNNER.invoke(main, ["inspect", *arguments, "--set", "http.port=9"])


def batch(items: list[int]) -> BehaviourBatch:
    count = len(items)
    return BehaviourBatch(
        user=np.full(count, USER),
        item=np.asarray(items, dtype=np.int64),
        time_ms=np.arange(count, dtype=np.int64) * 60_000,
        action=np.full(count, 4, dtype=np.uint8),
        category=np.full(count, 10, dtype=np.int64),
        event_id=np.zeros(count, dtype=np.uint64),
        broker_time_ms=np.full(count, 5, dtype=np.int64),
        offset=np.arange(count, dtype=np.int64),
        erase=np.zeros(count, dtype=bool),
    )


def write_store(directory: Path) -> None:
    partition = partition_of_key(str(USER).encode(), PARTITIONS)
    identity = StoreIdentity("cluster", "behaviours", partition, PARTITIONS)
    store = BehaviourStore.open(directory / f"behaviours-{partition}", identity, Rules())
    store.append(batch([11, 12, 13]), position=3)
    store.put_users(np.array([USER]), [encode_profile({"country": 44})], position=1)
    store.close()


def test_a_stopped_store_is_read_from_disk(tmp_path: Path) -> None:
    write_store(tmp_path)
    result = inspect(str(USER), "--data-dir", str(tmp_path), "--limit", "2", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert document["source"] == str(tmp_path)
    assert document["history_length"] == 3
    assert document["profile"] == {"country": 44}
    assert [(row["position"], row["item"], row["action"]) for row in document["behaviours"]] == [
        (2, 13, "purchase"),
        (1, 12, "purchase"),
    ]


def test_people_get_a_table(tmp_path: Path) -> None:
    write_store(tmp_path)
    output = inspect(str(USER), "--data-dir", str(tmp_path)).output
    assert f"user {USER}: 3 behaviours" in output
    assert "country=44" in output
    assert "1970-01-01 00:02:00" in output


def test_no_stores_and_no_worker_is_told(tmp_path: Path) -> None:
    result = inspect(str(USER), "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "holds no stores" in result.output


def test_a_user_of_a_partition_that_is_not_here_is_told(tmp_path: Path) -> None:
    write_store(tmp_path)
    here = partition_of_key(str(USER).encode(), PARTITIONS)
    elsewhere = next(user for user in map(str, range(1, 99)) if partition_of_key(user.encode(), PARTITIONS) != here)
    result = inspect(elsewhere, "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "has no store of" in result.output


@contextmanager
def worker(status: int, body: object) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({**body, "path": self.path} if isinstance(body, dict) else body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_running_worker_is_asked_first() -> None:
    with worker(200, {"user": "a/b"}) as url:
        result = inspect("a/b", "--url", url, "--limit", "3", "--json")
    document = json.loads(result.output)
    assert document["source"] == url
    assert document["path"] == "/v1/users/a%2Fb/sequence?limit=3"


def test_a_worker_that_refuses_is_quoted() -> None:
    with worker(503, {"detail": "nobody owns partition 3"}) as url:
        result = inspect("7", "--url", url)
    assert result.exit_code == 1
    assert "nobody owns partition 3" in result.output


def test_a_named_worker_that_is_away_is_told() -> None:
    result = inspect("7", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "no worker answers at http://127.0.0.1:9" in result.output
