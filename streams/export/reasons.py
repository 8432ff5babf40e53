"""Why an impression is not exported: a closed set, as the summary and the list of what was left out name it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why."""

    RESERVED = "reserved"
    """The user is the system's own (`__muse`)."""
    FUTURE = "future"
    """The time lies after the moment at which the logs were read."""
    LOG_BEGINS_LATER = "log_begins_later"
    """The behaviours log has lost its beginning; stores, or positions of a longer log, may help."""
    BEYOND_LOG = "beyond_log"
    """A position above the log's end: another log, or one that was cut."""
    USERS_INCOMPLETE = "users_incomplete"
    """Profiles of that time may have left their log."""
    ITEMS_INCOMPLETE = "items_incomplete"
    """Items of that time may have left their log."""
    SAME_SECOND = "same_second"
    """Stores: a behaviour arrived in the impression's own second, before or after it."""
    TRIMMED = "trimmed"
    """Stores: behaviours of that time have been trimmed or erased."""
    STORE_ENDS_EARLIER = "store_ends_earlier"
    """Stores: the store had not read so far."""
    NOT_SERVED = "not_served"
    """Served: no answer of that request carries features of that item."""


ADVICE = {
    Reason.FUTURE: "check the unit of time_ms: milliseconds since 1970",
    Reason.LOG_BEGINS_LATER: "export from the stores: --from stores",
    Reason.BEYOND_LOG: "name the cluster whose answers these are",
    Reason.USERS_INCOMPLETE: "export sooner, or raise topics.replay_window_hours",
    Reason.ITEMS_INCOMPLETE: "export sooner, or raise topics.replay_window_hours",
    Reason.SAME_SECOND: "export from the log: --from log",
    Reason.TRIMMED: "export from the log: --from log",
    Reason.STORE_ENDS_EARLIER: "let the worker catch up, or export from the log: --from log",
    Reason.NOT_SERVED: "ask with features: true, or set serving.features_share",
}
