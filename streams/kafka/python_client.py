"""How every kafka-python client of this program comes to life.

Invariant: a client whose constructor failed leaves no thread and no connection behind.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from kafka.errors import KafkaError as ClientError
from kafka.net.compat import KafkaNetClient

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.reach import require_listener, unreachable
from muse_stream.streams.kafka.security import Security

_RECONNECT_MAX_MS = 1_000  # the default of 30 s would be added to every restart of a broker


@contextlib.contextmanager
def connecting(bootstrap: str, security: Security, client_id: str, timeout_ms: int) -> Iterator[dict[str, Any]]:
    """Yield the options that all clients share, for the block that constructs one.

    Raises:
        UnreachableError: No broker answered in time, or none let us in.

    """
    made: list[KafkaNetClient] = []

    def remember(**options: object) -> KafkaNetClient:
        made.append(KafkaNetClient(**options))
        return made[-1]

    require_listener(bootstrap, security, timeout_ms)
    try:
        yield {
            "bootstrap_servers": bootstrap.split(","),
            "bootstrap_timeout_ms": timeout_ms,
            "client_id": client_id,
            "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
            "kafka_client": remember,
            **security.kafka_python(),
        }
    except (ClientError, OSError) as error:
        for client in made:
            client.close()
            client._net.stop()  # kafka-python's own `close` does the same; its constructors forget
        raise UnreachableError(unreachable(bootstrap, security, error)) from error
