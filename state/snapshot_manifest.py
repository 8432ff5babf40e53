"""What a snapshot says of itself: whose log, how far, by which rules, and the checksum of each of its files.

Invariant: a manifest's name ends with a digest of its bytes, so a manifest that was read is the one that was written.

JSON object: `format` (1), `layout` and `identity` as in the store, `position`, `users_position`, `watermark_ms`,
`start_position`, `undated_until`, `rules` (with their offsets), `files` (`name`, `bytes`, `digest`: BLAKE2b with 32
bytes, hexadecimal), `created_ms`, `tool` (version of the program). A reader refuses a format that it does not know: a
later one may keep files elsewhere, and nothing may then be taken for unused.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from muse_stream.state.errors import SnapshotDamagedError, SnapshotFormatError
from muse_stream.state.meta import LAYOUT
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import RuleChange, StoreIdentity, pack_rules, unpack_rules

FORMAT = 1
DIGEST_BYTES = 32
_NAME_DIGEST_BYTES = 8  # enough to tell damage; an adversary who can write the location can do worse
_POSITION_DIGITS = 19  # of the largest int64: names sort by position


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a store.

    Attributes:
        name: Within the store's directory.
        bytes: Its size.
        digest: Of its content, in hexadecimal; also its name in the location.

    """

    name: str
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One snapshot.

    Attributes:
        layout: Layout of the store.
        identity: The log that it was built from.
        position: Next behaviours offset wanted.
        users_position: Next users offset wanted.
        watermark_ms: Largest broker time so far.
        start_position: The behaviours offset at which the store began.
        undated_until: Behaviours before this offset count as arrived when the store was at it; 0 in most stores.
        rules: Its rules, oldest first, each with the offset from which it holds.
        files: All files of the store.
        created_ms: When the snapshot was begun, milliseconds since the epoch.
        tool: Version of the program that wrote it.

    """

    layout: str
    identity: StoreIdentity
    position: int
    users_position: int
    watermark_ms: int
    start_position: int
    undated_until: int
    rules: tuple[RuleChange, ...]
    files: tuple[StoredFile, ...]
    created_ms: int
    tool: str

    @classmethod
    def of(cls, store: StoreReader, files: tuple[StoredFile, ...], created_ms: int, tool: str) -> "Manifest":
        """What the manifest of an open store with these files says."""
        return cls(
            layout=LAYOUT,
            identity=store.identity,
            position=store.position,
            users_position=store.users_position,
            watermark_ms=store.watermark_ms,
            start_position=store.start_position,
            undated_until=store.undated_until,
            rules=tuple(store.rules),
            files=files,
            created_ms=created_ms,
            tool=tool,
        )

    @property
    def name(self) -> str:
        """Name in the location: position and digest."""
        return _name(self.position, self.to_bytes())

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    def to_bytes(self) -> bytes:
        """The JSON object, the same bytes for the same manifest."""
        document = {
            **asdict(self),
            "format": FORMAT,
            "identity": json.loads(self.identity.to_bytes()),
            "rules": json.loads(pack_rules(list(self.rules))),
        }
        return json.dumps(document, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, name: str, raw: bytes) -> "Manifest":
        """The manifest that was written under `name`.

        Raises:
            SnapshotDamagedError: These are other bytes.
            SnapshotFormatError: Another version of the program wrote it.

        """
        digest = name.rpartition("-")[2]
        if digest != _digest(raw):
            found = f"the manifest's bytes have the digest {_digest(raw)}, its name says {digest}."
            raise SnapshotDamagedError(name, found, "use another snapshot; delete this one.")
        document = json.loads(raw)
        if document.get("format") != FORMAT:
            found = f"the manifest has format {document.get('format')!r}, expected {FORMAT}."
            raise SnapshotFormatError(name, found, "use the version of muse-stream that wrote it.")
        return cls._of_document(document)

    @classmethod
    def _of_document(cls, document: dict[str, Any]) -> "Manifest":
        plain = ("layout", "position", "users_position", "watermark_ms", "start_position", "undated_until")
        return cls(
            **{name: document[name] for name in (*plain, "created_ms", "tool")},
            identity=StoreIdentity.from_bytes(json.dumps(document["identity"]).encode()),
            rules=tuple(unpack_rules(json.dumps(document["rules"]).encode())),
            files=tuple(StoredFile(**file) for file in document["files"]),
        )


def _name(position: int, raw: bytes) -> str:
    return f"{position:0{_POSITION_DIGITS}d}-{_digest(raw)}"


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=_NAME_DIGEST_BYTES).hexdigest()
