"""Free ports are free, different, and out of the kernel's reach."""

import socket

from muse_stream.streams.kafka.ports import HOST, free_ports, is_free


def test_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)
    assert all(20_000 <= port < 32_768 for port in ports)


def test_port_in_use_is_not_free() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        assert not is_free(server.getsockname()[1])
