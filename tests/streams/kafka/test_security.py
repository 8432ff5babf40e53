"""One set of security settings, three clients, no secret in sight."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from muse_stream.streams.kafka.security import Security
from tests.streams.kafka.certificates import make_certificates

USER: dict[str, Any] = {"username": "alice", "password": "s3cret"}


def test_default_is_plain() -> None:
    security = Security()
    assert security.kafka_python() == {"security_protocol": "PLAINTEXT"}
    assert security.confluent() == {"security.protocol": "PLAINTEXT"}
    assert security.faust() is None


def test_options_of_all_clients_agree(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    security = Security(protocol="SASL_SSL", mechanism="SCRAM-SHA-512", ca_file=files.ca_file, **USER)
    python = security.kafka_python()
    assert (python["sasl_mechanism"], python["sasl_plain_username"]) == ("SCRAM-SHA-512", "alice")
    assert python["sasl_plain_password"] == USER["password"]
    assert python["ssl_context"].check_hostname
    assert security.confluent() == {
        "security.protocol": "SASL_SSL",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.location": str(files.ca_file),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "alice",
        "sasl.password": "s3cret",
    }
    credentials: Any = security.faust()
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password) == ("alice", "s3cret")


def test_client_certificate_and_host_check(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    security = Security(
        protocol="SSL", ca_file=files.ca_file, cert_file=files.keystore, key_file=files.keystore, check_hostname=False
    )
    context = security.ssl_context()
    assert context is not None
    assert not context.check_hostname
    confluent = security.confluent()
    assert confluent["ssl.endpoint.identification.algorithm"] == "none"
    assert confluent["ssl.certificate.location"] == confluent["ssl.key.location"] == str(files.keystore)
    credentials: Any = security.faust()
    assert credentials.protocol.value == "SSL"


def test_password_is_never_shown() -> None:
    security = Security(protocol="SASL_PLAINTEXT", **USER)
    assert "s3cret" not in repr(security) + str(security) + security.model_dump_json()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"protocol": "SASL_SSL"}, "needs username and password"),
        ({"protocol": "SASL_SSL", "username": "alice"}, "needs username and password"),
        (USER, "sends no username or password"),
        ({"ca_file": __file__}, "uses no certificates"),
        ({"protocol": "SSL", "key_file": __file__}, "without cert_file"),
        ({"protocol": "SSL", "ca_file": "/no/such/file.pem"}, "/no/such/file.pem is not a readable file"),
        ({"protocol": "TLS"}, "PLAINTEXT"),
        ({"sasl": "PLAIN"}, "Extra inputs"),
    ],
)
def test_wrong_combinations_say_what_to_do(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text) as caught:
        Security(**settings)
    assert "s3cret" not in str(caught.value)
