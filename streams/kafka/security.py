"""How every Kafka client of this program identifies itself: one set of settings, three client libraries.

Invariant: all clients built from one `Security` use the same protocol, mechanism, user, certificates and host-name
check; the password is in no `repr`, no error text and no dump.
"""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class Security(BaseModel):
    """TLS and SASL settings; the default is neither, for a broker on this machine or in a private network."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    protocol: Protocol = Field("PLAINTEXT", description="how to talk to the brokers")
    mechanism: Mechanism = Field("PLAIN", description="SASL mechanism, for the SASL protocols")
    username: str | None = Field(None, description="SASL user")
    password: SecretStr | None = Field(None, description="SASL password")
    ca_file: Path | None = Field(None, description="PEM file of the authorities to trust; default: the system's")
    cert_file: Path | None = Field(None, description="PEM file of our own certificate, for brokers that ask for one")
    key_file: Path | None = Field(None, description="PEM file of our certificate's private key")
    check_hostname: bool = Field(True, description="the broker's certificate must name the host we connect to")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.sasl and not (self.username and self.password):
            text = f"protocol {self.protocol} needs username and password; give both, or use PLAINTEXT or SSL"
            raise ValueError(text)
        if not self.sasl and (self.username or self.password):
            text = f"protocol {self.protocol} sends no username or password; use SASL_SSL, or leave them out"
            raise ValueError(text)
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            text = f"protocol {self.protocol} uses no certificates; use SSL or SASL_SSL, or leave the files out"
            raise ValueError(text)
        if self.key_file and not self.cert_file:
            text = "key_file was given without cert_file; give both"
            raise ValueError(text)
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path and not path.is_file():
                text = f"{path} is not a readable file; check ca_file, cert_file and key_file"
                raise ValueError(text)
        return self

    @property
    def sasl(self) -> bool:
        """Whether the protocol asks for user and password."""
        return self.protocol.startswith("SASL_")

    @property
    def tls(self) -> bool:
        """Whether the protocol encrypts."""
        return self.protocol.endswith("SSL")

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a TLS context for Python's own sockets, or None without TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file and str(self.ca_file))
        context.check_hostname = self.check_hostname
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def _secret(self) -> str:
        return self.password.get_secret_value() if self.password else ""

    def kafka_python(self) -> dict[str, Any]:
        """Return the options of a kafka-python client; they hold the password, so never log them."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            options["ssl_context"] = self.ssl_context()
        if self.sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self._secret()
        return options

    def confluent(self) -> dict[str, Any]:
        """Return the options of a confluent-kafka client; they hold the password, so never log them."""
        options: dict[str, Any] = {"security.protocol": self.protocol}
        if self.tls:
            options["ssl.endpoint.identification.algorithm"] = "https" if self.check_hostname else "none"
            files = {"ca": self.ca_file, "certificate": self.cert_file, "key": self.key_file or self.cert_file}
            options |= {f"ssl.{name}.location": str(path) for name, path in files.items() if path}
        if self.sasl:
            options["sasl.mechanism"] = self.mechanism
            options["sasl.username"] = self.username
            options["sasl.password"] = self._secret()
        return options

    def faust(self) -> "CredentialsT | None":
        """Return Faust's `broker_credentials`, or None for PLAINTEXT."""
        from faust import SASLCredentials, SSLCredentials  # noqa: PLC0415 - Faust takes a second to import

        if self.sasl:
            return SASLCredentials(
                username=self.username,
                password=self._secret(),
                mechanism=self.mechanism,
                ssl_context=self.ssl_context(),
            )
        return SSLCredentials(self.ssl_context()) if self.tls else None
