"""Connections for administration, and what they tell about a cluster.

Invariant: a client that is returned has been answered by a broker (ApiVersions and metadata), so a wrong address or a
refused password shows here, with advice, and not later in a thread.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.errors import KafkaError as ClientError

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.security import Security

CLIENT_ID = "muse-stream"
CONNECT_TIMEOUT_MS = 10_000
_PROBE_SECONDS = 2.0
_PROBE_PAUSE_SECONDS = 0.05


@contextmanager
def connect_admin(
    bootstrap: str, security: Security | None = None, *, timeout_ms: int = CONNECT_TIMEOUT_MS
) -> Iterator[KafkaAdminClient]:
    """Connect, yield the client and close it.

    Args:
        bootstrap: `HOST:PORT`, several separated by commas.
        security: TLS and SASL settings.
        timeout_ms: How long a broker may take to answer first.

    Raises:
        UnreachableError: No broker answered, or none let us in.

    """
    security = security or Security()
    require_listener(bootstrap, security, timeout_ms)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id=CLIENT_ID,
            bootstrap_timeout_ms=timeout_ms,
            **security.kafka_python(),
        )
    except (ClientError, OSError) as error:
        raise UnreachableError(unreachable(bootstrap, security, error)) from error
    try:
        yield client
    finally:
        client.close()


def require_listener(bootstrap: str, security: Security, timeout_ms: int) -> None:
    """Wait until something listens at one of the addresses.

    Before any client is built: a client that found nobody leaves its thread behind.

    Raises:
        UnreachableError: Nothing did in time.

    """
    deadline = time.monotonic() + timeout_ms / 1000
    while not any(_listens(address) for address in bootstrap.split(",")):
        if time.monotonic() > deadline:
            raise UnreachableError(unreachable(bootstrap, security, f"no connection within {timeout_ms} ms"))
        time.sleep(_PROBE_PAUSE_SECONDS)


def unreachable(bootstrap: str, security: Security, error: object) -> str:
    """Return the text of an error about brokers that cannot be reached."""
    identity = f"{security.protocol}, user {security.username}" if security.sasl else security.protocol
    if any(_listens(address) for address in bootstrap.split(",")):
        advice = (
            f"Something listens there, so check that it is a broker's {security.protocol} listener, that user, "
            f"password and mechanism are right, and that the certificates fit"
        )
    else:
        advice = "Nothing listens there: check the address, and that the broker runs"
    return f"no usable Kafka broker at {bootstrap} ({identity}): {error}. {advice}."


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def cluster_id(admin: KafkaAdminClient) -> str:
    """Return the id that a cluster gave itself when it was formatted; stores refuse to mix clusters by it."""
    return str(admin.describe_cluster()["cluster_id"])
