"""Exceptions of the streams room.

StreamsError
├── SettingsError      a settings file, variable or flag is wrong
└── KafkaError         anything between us and a Kafka broker
    ├── DownloadError      Kafka's jars could not be fetched
    ├── BrokerError        the embedded broker did not start or died
    ├── UnreachableError   no broker answers at the given address, or it refuses our credentials
    ├── TopicError         a topic is not as this program needs it
    ├── PositionError      a position lies outside the log
    ├── DriverError        a client driver is unknown or not installed
    └── DeliveryError      the broker did not acknowledge a record
"""


class StreamsError(Exception):
    """Base of everything that this room raises on purpose; its text says what was found, expected and what to do."""


class SettingsError(StreamsError):
    """The settings cannot be used: unknown key, wrong value or unreadable file. Nothing has been started yet."""


class KafkaError(StreamsError):
    """Anything between us and a Kafka broker."""


class DownloadError(KafkaError):
    """Kafka's jars could not be fetched. Operator action: see the text; a broker of your own needs no jars."""


class BrokerError(KafkaError):
    """The embedded broker did not start or died; the text quotes the end of its log."""


class UnreachableError(KafkaError):
    """No broker answers at the given address, or it refuses our credentials."""


class TopicError(KafkaError):
    """A topic is not as this program needs it; nothing has been changed."""


class PositionError(KafkaError):
    """A position lies outside the log. Operator action: restore from a snapshot or rebuild; never skip silently.

    Attributes:
        positions: `{(topic, partition): offset}` that were refused.
    """

    def __init__(self, message: str, positions: dict[tuple[str, int], int]) -> None:
        super().__init__(message)
        self.positions = positions


class DriverError(KafkaError):
    """A client driver is unknown or not installed."""


class DeliveryError(KafkaError):
    """The broker did not acknowledge a record in time, or refused it."""
