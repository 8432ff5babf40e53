"""Exceptions of the streams room.

StreamsError
└── SettingsError      a settings file, variable or flag is wrong
"""


class StreamsError(Exception):
    """Base of everything that this room raises on purpose; its text says what was found, expected and what to do."""


class SettingsError(StreamsError):
    """The settings cannot be used: unknown key, wrong value or unreadable file. Nothing has been started yet."""
