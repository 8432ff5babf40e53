"""Connections for administration, and what they tell about a cluster.

Invariant: a client that is returned has been answered by a broker (ApiVersions and metadata), so a wrong address or a
refused password shows here, with advice, and not later in a thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient

from muse_stream.streams.kafka.python_client import connecting
from muse_stream.streams.kafka.reach import CLIENT_ID, CONNECT_TIMEOUT_MS
from muse_stream.streams.kafka.security import Security


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
    with connecting(bootstrap, security or Security(), CLIENT_ID, timeout_ms) as options:
        client = KafkaAdminClient(**options)
    try:
        yield client
    finally:
        client.close()


def cluster_id(admin: KafkaAdminClient) -> str:
    """Return the id that a cluster gave itself when it was formatted; stores refuse to mix clusters by it."""
    return str(admin.describe_cluster()["cluster_id"])
