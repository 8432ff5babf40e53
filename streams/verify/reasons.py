"""Why a computed answer cannot be rebuilt: a closed set, as the report and the metrics name it."""

from enum import StrEnum


class Unknown(StrEnum):
    """Why; the values of `streams.export.reasons` mean the same here."""

    REQUEST_GONE = "request_gone"
    """The requests log does not have the request any more, or it was never committed."""
    REQUEST_AMBIGUOUS = "request_ambiguous"
    """The user sent different requests under one request id."""
    REQUEST_UNREADABLE = "request_unreadable"
    """By the settings in force the request breaks the contract: other spaces, actions or limits than the worker's."""
    LOG_BEGINS_LATER = "log_begins_later"
    """The behaviours log has lost its beginning."""
    BEYOND_LOG = "beyond_log"
    """A position above the log's end: another log, or one that was cut."""
    USERS_INCOMPLETE = "users_incomplete"
    """Profiles of that time may have left their log."""
    ITEMS_INCOMPLETE = "items_incomplete"
    """Items of that time may have left their log."""
    SPACE_UNKNOWN = "space_unknown"
    """The settings do not have the vector space of the answer."""
    BEFORE_START = "before_start"
    """Running mode: the answer's moment lies before this process began."""
    PASSED = "passed"
    """Running mode: the answer came after its moment had been let go of."""
    NO_ROOM = "no_room"
    """Running mode: more answers waited than there is room for."""
    ENDED = "ended"
    """Running mode: the process was ended while the answer waited."""


ADVICE = {
    Unknown.REQUEST_GONE: "verify sooner, or raise topics.replay_window_hours",
    Unknown.REQUEST_AMBIGUOUS: "give every request an id of its own",
    Unknown.REQUEST_UNREADABLE: "use the settings of the worker that answered",
    Unknown.LOG_BEGINS_LATER: "keep the behaviours log whole (retention.ms=-1) where answers are to be rebuilt",
    Unknown.BEYOND_LOG: "name the cluster whose answers these are",
    Unknown.USERS_INCOMPLETE: "verify sooner, or raise topics.replay_window_hours",
    Unknown.ITEMS_INCOMPLETE: "verify sooner, or raise topics.replay_window_hours",
    Unknown.SPACE_UNKNOWN: "add it to items.spaces",
    Unknown.PASSED: "raise --hold",
    Unknown.NO_ROOM: "lower --share",
}
