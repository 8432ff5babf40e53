"""Exceptions of the streams room.

StreamsError
├── SettingsError      a settings file, variable or flag is wrong
├── KafkaError         anything between us and a Kafka broker
│   ├── DownloadError      Kafka's jars could not be fetched
│   ├── BrokerError        the embedded broker did not start or died
│   ├── UnreachableError   no broker answers at the given address, or it refuses our credentials
│   ├── TopicError         a topic is not as this program needs it
│   ├── PositionError      a position lies outside the log
│   ├── DriverError        a client driver is unknown or not installed
│   └── DeliveryError      the broker did not acknowledge a record
├── WireError          bytes do not follow the published contract
│   └── IdError            text or a number that is no id
├── AuditError         the audit cannot be done, or cannot be finished
├── DemoError          the demo cannot go on
├── SourceError        a file of behaviours or impressions cannot be read
├── ExportError        an export cannot be done, or cannot be finished
├── ActivationError    a model cannot be activated with these settings
└── IngestError        a partition, or the reading of the log as a whole, cannot go on
    ├── PartitionNotHereError  this worker has no open store of the partition asked for
    ├── LogMismatchError       a store and the log do not fit together
    └── IngestStoppedError     the ingest thread is not running, or has failed
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


class WireError(StreamsError):
    """A value cannot be encoded for a topic, or bytes are not what their header says."""


class IdError(WireError):
    """A value is no id: outside the signed 64-bit range, empty, or text that UTF-8 cannot express."""


class IngestError(StreamsError):
    """A partition, or the reading of the log as a whole, cannot go on."""


class PartitionNotHereError(IngestError):
    """This worker has no open store of the partition asked for: ask the owner that the assignment names now."""

    def __init__(self, partition: int, here: list[int]) -> None:
        super().__init__(f"partition {partition} is not open on this worker (open here: {sorted(here)}); ask its owner")
        self.partition = partition


class LogMismatchError(IngestError):
    """A store and the log do not fit together. Operator action: see the text; nothing was reset or skipped.

    Attributes:
        other_log: The log is another one than the store was built from; otherwise a position lies outside the log.
        behind: The topic whose log begins after the store's position, where a snapshot may help; None otherwise.

    """

    def __init__(self, message: str, *, other_log: bool = False, behind: str | None = None) -> None:
        super().__init__(message)
        self.other_log = other_log
        self.behind = behind


class IngestStoppedError(IngestError):
    """The ingest thread is not running, or has failed; the text carries what ended it."""


class AuditError(StreamsError):
    """The audit cannot be done, or cannot be finished; it says nothing about the stores."""


class DemoError(StreamsError):
    """The demo cannot go on: its worker ended or was not ready in time; the text quotes the log."""


class SourceError(StreamsError):
    """A file of behaviours or impressions cannot be read on; the text names file, row and column."""


class ExportError(StreamsError):
    """An export cannot be done, or cannot be finished; no file of it is left under its final name."""


class ActivationError(StreamsError):
    """A model cannot be activated: its space or features are not in the settings, or there is none to go back to."""
