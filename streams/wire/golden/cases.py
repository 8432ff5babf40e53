"""The records behind the golden files: what a producer in any language may send, good and bad.

Invariant: fixed; a case is never changed once published, new ones are added, because other languages test against them.
"""

from dataclasses import dataclass, replace

from muse_stream.streams.records import Headers
from muse_stream.streams.wire.encode import FRAME_HEADERS
from muse_stream.streams.wire.frame import encode_frame

BROKER_TIME_MS = 1_291_213_020_000
PARTITION_COUNTS = (1, 2, 4, 8, 12, 64, 1_000)
PARTITION_COUNT = 4
SPACES = {"v1": 4, "wide": 6}
FEATURES = ("brand", "price_band")

ID_TEXTS = (
    "1",
    "0",
    "-1",
    "17850",
    "017850",
    "+17850",
    " 17850",
    "17850.0",
    "-0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "85123A",
    "user-1",
    "a",
    "ab",
    "abc",
    "abcd",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "élan",
    "用户",
    "😀",
    "x" * 127,
    "x" * 128,
    "x" * 129,
    "xyz" * 100,
    "__muse_canary_0",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One record; `partition` None puts it where its key belongs."""

    name: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    partition: int | None = None


def _frame(users: list[int], times: list[int] | None = None, **more: list[int]) -> bytes:
    items = [10 * user for user in users]
    actions = [row % 6 for row in range(len(users))]
    return encode_frame(users, items, times or [BROKER_TIME_MS] * len(users), actions, **more)


_FULL = _frame(
    [17850, 17850, 17851], category=[1, 0, -3], event_id=[2**64 - 1, 0, 7]
)  # both users are on partition 3 of 4
_PLAIN = b'{"item":22423,"time_ms":1291213020000,"action":"purchase"}'


def _json(fields: str) -> bytes:
    return ('{"item":22423,"time_ms":1291213020000,"action":"purchase"' + fields + "}").encode()


BEHAVIOURS = (
    Case("plain", b"17850", _PLAIN),
    Case("all fields", b"17850", _json(',"category":17,"event_id":"536365-1","user":17850')),
    Case("nulls", b"17850", _json(',"category":null,"event_id":null,"user":null')),
    Case("format named", b"17850", _PLAIN, [("muse-format", b"json/1")]),
    Case("other headers", b"17850", _PLAIN, [("traceparent", b"00-1-2-01")]),
    Case("text user", b"user-1", _json(',"user":"user-1"')),
    Case("numeric text is the number", b"17850", _json(',"user":"17850","category":"17"')),
    Case("text item", b"17850", b'{"item":"85123A","time_ms":0,"action":255}'),
    Case("escaped text item", b"17850", rb'{"item":"\u0038\u00e9","time_ms":0,"action":"click"}'),
    Case("white space and order", b"17850", b' {\n\t"action" : 1 ,\r\n "time_ms" : 5 , "item" : -7 } '),
    Case("number as event id", b"17850", _json(',"event_id":17')),
    Case("an hour ahead", b"17850", b'{"item":1,"time_ms":1291216620000,"action":0}'),
    Case("erase", b"17850", None),
    Case("frame", b"17850", _FULL, FRAME_HEADERS),
    Case("short frame", b"17850", _frame([17850]), FRAME_HEADERS),
    Case("canary's user", b"__muse:canary:9", _PLAIN),
    Case("canary's user erased", b"__muse:canary:9", None),
    Case("not the first canary of its partition", b"__muse:canary:2", _PLAIN),
    Case("no key", None, _PLAIN, partition=0),
    Case("empty key", b"", _PLAIN, partition=0),
    Case("key 0", b"0", _PLAIN),
    Case("key not UTF-8", b"\xff\xfe", _PLAIN),
    Case("reserved key", b"__muse_x", _PLAIN),
    Case("erase on the wrong partition", b"17850", None, partition=0),
    Case("wrong partition", b"17850", _PLAIN, partition=0),
    Case("empty value", b"17850", b""),
    Case("unknown format", b"17850", _PLAIN, [("muse-format", b"json/2")]),
    Case("not JSON", b"17850", b"17850,22423,purchase"),
    Case("cut JSON", b"17850", _PLAIN[:-1]),
    Case("two objects", b"17850", _PLAIN + b"," + _PLAIN),
    Case("array", b"17850", b"[" + _PLAIN + b"]"),
    Case("text not UTF-8", b"17850", b'{"item":"\xff","time_ms":1,"action":1}'),
    Case("no item", b"17850", b'{"time_ms":1,"action":1}'),
    Case("extra field", b"17850", _json(',"price":3')),
    Case("fractional time", b"17850", b'{"item":1,"time_ms":1.5,"action":1}'),
    Case("null item", b"17850", b'{"item":null,"time_ms":1,"action":1}'),
    Case("item 0", b"17850", b'{"item":0,"time_ms":1,"action":1}'),
    Case("item is empty text", b"17850", b'{"item":"","time_ms":1,"action":1}'),
    Case("item beyond int64", b"17850", b'{"item":9223372036854775808,"time_ms":1,"action":1}'),
    Case("reserved item", b"17850", b'{"item":"__muse_x","time_ms":1,"action":1}'),
    Case("another user", b"17850", _json(',"user":17851')),
    Case("unknown action", b"17850", b'{"item":1,"time_ms":1,"action":"gaze"}'),
    Case("action 256", b"17850", b'{"item":1,"time_ms":1,"action":256}'),
    Case("before 1970", b"17850", b'{"item":1,"time_ms":-1,"action":1}'),
    Case("more than an hour ahead", b"17850", b'{"item":1,"time_ms":1291216620001,"action":1}'),
    Case("time beyond int64", b"17850", b'{"item":1,"time_ms":99999999999999999999,"action":1}'),
    Case("frame cut", b"17850", _FULL[:-1], FRAME_HEADERS),
    Case("frame flipped", b"17850", _FULL[:30] + b"\x55" + _FULL[31:], FRAME_HEADERS),
    Case("frame of version 2", b"17850", _FULL[:4] + b"\x02" + _FULL[5:], FRAME_HEADERS),
    Case("JSON called a frame", b"17850", _PLAIN, FRAME_HEADERS),
    Case("frame of another first user", b"17851", _FULL, FRAME_HEADERS),
    Case("frame with a user of another partition", b"17850", _frame([17850, 17853]), FRAME_HEADERS),
    Case("frame with user 0", b"17850", _frame([17850, 0]), FRAME_HEADERS),
    Case("frame with a negative time", b"17850", _frame([17850, 17850], [1, -1]), FRAME_HEADERS),
    Case("frame with a far time", b"17850", _frame([17850], [BROKER_TIME_MS + 3_600_001]), FRAME_HEADERS),
)

USERS = (
    Case("profile", b"17850", b'{"features":{"country":36,"price_band":"high","unset":null,"zero":0}}'),
    Case("empty profile", b"17850", b'{"features":{}}'),
    Case("forget", b"17850", None),
    Case("no features", b"17850", b"{}"),
    Case("extra field", b"17850", b'{"features":{},"name":"x"}'),
    Case("fractional feature", b"17850", b'{"features":{"country":3.5}}'),
    Case("empty value", b"17850", b""),
    Case("wrong partition", b"17850", b'{"features":{}}', partition=0),
)

_ITEMS = (
    Case(
        "all fields",
        b"85123A",
        b'{"category":17,"features":{"brand":"acme","other":1},"title":"Heart","vector":[1,-128,127,0]}',
    ),
    Case("base64", b"22423", b'{"vector_int8":"AYB/AA=="}'),
    Case("floats", b"22423", b'{"vector_float":[0.5,-0.25,0.125,0.0]}'),
    Case("another space", b"22423", b'{"space":"wide","vector":[1,2,3,4,5,6]}'),
    Case("no vector", b"22423", b'{"category":"mugs"}'),
    Case("forget", b"22423", None),
    Case("no key", None, b"{}"),
    Case("wrong size", b"22423", b'{"vector":[1,2,3]}'),
    Case("all zero", b"22423", b'{"vector":[0,0,0,0]}'),
    Case("not a number", b"22423", b'{"vector_float":[NaN,0,0,0]}'),
    Case("beyond float32", b"22423", b'{"vector_float":[1e39,0,0,0]}'),
    Case("beyond float64", b"22423", b'{"vector_float":[1e999,0,0,0]}'),
    Case("beyond int8", b"22423", b'{"vector":[128,0,0,0]}'),
    Case("not base64", b"22423", b'{"vector_int8":"AYB/A"}'),
    Case("two forms", b"22423", b'{"vector":[1,2,3,4],"vector_int8":"AYB/AA=="}'),
    Case("unknown space", b"22423", b'{"space":"v9","vector":[1,2,3,4]}'),
)

ITEMS = tuple(replace(case, partition=0) for case in _ITEMS)  # the topic has one partition

REQUESTS = (
    Case("plain", b"17850", b'{"request_id":"r1","candidates":[22423,"85123A"]}'),
    Case(
        "all fields",
        b"17850",
        b'{"request_id":"r2","user":17850,"candidates":[{"item":7,"vector":[1,2,3,4]},8],"k":200,"want":"both",'
        b'"space":"v1","context":{"hour":13},"filters":{"since_ms":0,"until_ms":9,"actions":["click",4]},'
        b'"explain":true,"not_before":{"partition":1,"offset":12},"deadline_ms":250}',
    ),
    Case("prefetch", b"17850", b'{"request_id":"r3","prefetch":true}'),
    Case(
        "exclude the candidate",
        b"17850",
        b'{"request_id":"r12","candidates":[22423,"85123A"],"filters":{"actions":["purchase"],"exclude_candidate":true}}',
    ),
    Case("no candidates", b"17850", b'{"request_id":"r4"}'),
    Case("too many candidates", b"17850", b'{"request_id":"r5","candidates":[' + b"1," * 2_000 + b"1]}"),
    Case("k too large", b"17850", b'{"request_id":"r6","candidates":[1],"k":201}'),
    Case("extra field", b"17850", b'{"request_id":"r7","candidates":[1],"limit":3}'),
    Case("no request id", b"17850", b'{"candidates":[1]}'),
    Case("not JSON", b"17850", b"rank these"),
    Case("another user", b"17850", b'{"request_id":"r8","candidates":[1],"user":1}'),
    Case("wrong vector", b"17850", b'{"request_id":"r9","candidates":[{"item":1,"vector":[1]}]}'),
    Case("wrong partition", b"17850", b'{"request_id":"r10","candidates":[1]}', partition=0),
    Case("no key", None, b'{"request_id":"r11","candidates":[1]}'),
    Case("no value", b"17850", None),
    Case(
        "explain some",
        b"17850",
        b'{"request_id":"r13","candidates":[22423,"85123A",7,22423],"explain":[7,"85123A"]}',
    ),
    Case("canary's user", b"__muse:canary:9", b'{"request_id":"r15","candidates":[22423],"want":"retrieved"}'),
    Case("explain no candidate", b"17850", b'{"request_id":"r14","candidates":[22423],"explain":["85123A"]}'),
)
