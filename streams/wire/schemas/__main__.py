"""Writes the schemas beside this file."""

from muse_stream.streams.wire.schemas import write

write()
