"""The page on a server of its own, with a document that the test makes up."""

import asyncio
import copy
import threading
import time
from typing import Any

from aiohttp import web

from muse_stream.streams.worker.http import add_routes

HOSTILE = "<script>window.hostile = 1</script><img src=x onerror='window.hostile = 2'>"


def log_of(position: int, *, behind: int = 0, late: float = 0.0) -> dict[str, Any]:
    return {
        **{"position": position, "end": position + behind, "lag_messages": behind, "lag_seconds": late},
        **{"held_back": 0, "waiting": None},
    }


def partition(number: int, **changes: Any) -> dict[str, Any]:
    logs = {"behaviours": log_of(81_000 + 517 * number), "users": log_of(400 + number)}
    usual = {"partition": number, "serving": True, "ready": True, "phase": "ready", "error": None, "logs": logs}
    return {**usual, **changes}


def delay(p50: float, p99: float, in_time: float, ratio: float) -> dict[str, Any]:
    return {"count": 7_321, "p50_ms": p50, "p99_ms": p99, "in_time_ms": in_time, "in_time_ratio": ratio}


def stage(name: str, mean: float) -> dict[str, Any]:
    return {"stage": name, "count": 7_321, "mean_ms": mean, "p50_ms": mean * 0.9, "p99_ms": mean * 2.4}


def point(step: int) -> dict[str, Any]:
    wave = (step * 7919 % 100) / 100
    return {
        **{"records_per_second": 900 + 240 * wave, "answers_per_second": 118 + 9 * wave, "rejected_per_second": 0.0},
        **{"fresh_p50_ms": 17 + 4 * wave, "fresh_p99_ms": None if step in (20, 21) else 38 + 19 * wave},
        **{"answer_p50_ms": 5 + wave, "answer_p99_ms": 11 + 6 * wave},
    }


def check(name: str, detail: str, advice: str = "", *, ok: bool = True) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail, "advice": advice, "age_seconds": 0.1}


def verdict(key: str, text: str, state: str = "ok", advice: str = "") -> dict[str, Any]:
    return {"key": key, "state": state, "text": text, "advice": advice}


def trends() -> dict[str, Any]:
    """Of a minute in which all went well."""
    names = {"decode": 0.2, "queue": 0.9, "state_read": 0.7, "gsu": 2.3, "features": 0.5, "esu": 1.9, "encode": 0.3}
    return {
        **{"window_seconds": 60.0, "step_seconds": 2.0, "outcomes": {"ok": 7_321}, "rejected": 0, "records": 61_000},
        **{"freshness": delay(18.2, 47.5, 1_000.0, 0.99982), "answers": delay(5.6, 14.2, 100.0, 0.9971)},
        "stages": [*(stage(name, mean) for name, mean in names.items()), stage("produce", 1.4)],
        **{"nonfinite": 0, "stale": 0, "points": [point(step) for step in range(150)]},
    }


def healthy(partitions: int = 16) -> dict[str, Any]:
    """A document as a worker in good order gives it."""
    now = int(time.time() * 1000)
    mine = list(range(partitions // 2))
    checks = [
        *(check("search_thread", "no thread has begun yet"), check("ingest_thread", "moved 0.0 s ago")),
        *(check("items_thread", "moved 0.1 s ago"), check("assignment", f"owns {len(mine)} partitions")),
        check("partitions", f"{len(mine)} partitions; furthest behind: behaviours/3 at 82551 of 82551"),
        *(check("items", "item tables stand at 4212"), check("gpu", "none is used")),
        check("model", "muse-1 (5f0c2a91d4be)"),
    ]
    return {
        **{"app": "shop", "cluster": "4L6g3nShT-eMCtK--X86sw", "space": "v1", "owned": mine},
        **{
            "at_ms": now,
            "started_ms": now - 11_520_000,
            "partition_count": partitions,
            "lag_seconds_max": 0.0,
            "canary_unseen_seconds_max": 1.8,
        },
        "partitions": [partition(number) for number in mine],
        "items": {**partition(0, logs={"items": log_of(4_212)}), "version": 4_212},
        "behaviours_stored": 1_204_331,
        "engine": {
            **{"backend": "cpu", "why": "compiled, AVX-512 VNNI, 8 threads", "resident_users": 20_314},
            **{"resident_behaviours": 9_120_455, "pool_bytes": 41_000_000, "pool_budget_bytes": 1 << 30},
            **{"evictions": 0, "vectors": 3_958, "searches": 91_022, "gpu": None},
        },
        "model": {"version": "muse-1", "digest": "5f0c2a91d4be88"},
        "models": {"live": model(now - 8_000_000), "shadow": None},
        "coverage": {"v1": 1.0},
        "worker": {"url": "http://worker-1:6066/", "host": "worker-1", "process": 4242},
        "build": {"muse-stream": "0.1.0", "python": "3.11.2", "torch": "2.9.0"},
        "workers": [
            {"url": "http://worker-1:6066/", "this": True, "partitions": mine},
            {"url": "http://worker-2:6066/", "this": False, "partitions": list(range(len(mine), partitions))},
        ],
        "verdicts": [
            verdict("ready", "all 8 checks pass"),
            verdict("fresh", "99.98% of 56,310 behaviours were retrievable within 1 s"),
            verdict("fast", "99.71% of 7,321 answers took less than 100 ms"),
            verdict("sound", "7,321 answers, none failed"),
        ],
        "health": {"ready": True, "status": "ok", "checks": checks},
        "trends": trends(),
        "warnings": [],
        "dead_letters": {"total": 0, "last": []},
    }


def model(loaded_at_ms: int) -> dict[str, Any]:
    digest = {"digest": "5f0c2a91d4be88", "space": "v1", "share": 1.0, "note": ""}
    return {"name": "shop-2026-11-20", "version": "muse-1", **digest, "loaded_at_ms": loaded_at_ms}


def failing(hostile: str = "") -> dict[str, Any]:
    """A document of a bad day, with `hostile` wherever a text comes from somewhere else."""
    found = copy.deepcopy(healthy())
    stop = (
        f"behaviours-3: the log begins at offset 90,000, the store wants 82,551{hostile}: what lies between is gone; "
        "restore a snapshot (muse-stream snapshot restore) or remove the store's directory"
    )
    late = {"behaviours": log_of(70_211, behind=12_904, late=48.2), "users": log_of(402)}
    found["partitions"][3] |= {"ready": False, "phase": "failed", "error": f"{stop}\nTraceback", "logs": {}}
    found["partitions"][5] |= {"ready": False, "phase": "replaying", "logs": late}
    found["lag_seconds_max"] = 48.2
    found["verdicts"] = [
        verdict("ready", "not all partitions are caught up", "wrong", "see the partitions"),
        verdict("fresh", f"stopped: {stop}", "wrong", "do what the text says; the partition is tried again"),
        verdict(
            *("fast", "71.30% of 7,321 answers took less than 100 ms; most of it in gsu, 21.9 ms a request", "watch"),
            "histories are long for this processor: more engine.threads, a GPU, or another worker",
        ),
        verdict("sound", "of 7,321 requests: 412 overload", "wrong", "start another worker, or see docs/batching.md"),
    ]
    detail = f"1 of 8 partitions stopped: {stop}"
    found["health"]["checks"][4] = check("partitions", detail, "do what the text says, then restart", ok=False)
    found["health"] |= {"ready": False, "status": "failing"}
    found["trends"] |= {
        "answers": delay(39.4, 288.0, 100.0, 0.713),
        "outcomes": {"ok": 6_880, "overload": 412, "malformed": 29},
    }
    found["trends"]["stages"][3] = stage("gsu", 21.9)
    found["models"]["live"]["note"] = f"refused: shop-2026-11-21 has no digest{hostile}"
    now = found["at_ms"]
    found["warnings"] = [
        noted("error", f"partition 3 has stopped, others go on: {stop}", 1, now),
        noted("warning", f"an answer was not accepted, trying again in 0.1 s: {hostile}", 1_312, now),
    ]
    place = {"topic": f"behaviours{hostile}", "partition": 5, "at_ms": now - 41_000}
    found["dead_letters"] = {"total": 29, "last": [{"reason": "bad_json", "offset": 70_199, **place}]}
    found["workers"][1]["url"] = f"javascript:alert(1){hostile}" if hostile else found["workers"][1]["url"]
    return found


def noted(level: str, text: str, count: int, now_ms: int) -> dict[str, Any]:
    when = {"first_ms": now_ms - 900_000, "last_ms": now_ms - 4_000}
    return {
        "level": level,
        "logger": "streams.ingest",
        "place": f"service.py:{count}",
        "text": text,
        "count": count,
        **when,
    }


class FakeWorker:
    """The worker's own routes before a made-up document, in a thread of its own; a context manager.

    Attributes:
        document: What it answers; may be replaced at any time.
        broken: Whether it fails to answer.

    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.broken = False
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def status(self) -> dict[str, Any]:
        if self.broken:
            message = "no document today"
            raise RuntimeError(message)
        return self.document

    async def _serve(self) -> None:
        app = web.Application()
        add_routes(app, self)  # type: ignore[arg-type]
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._up.set()
        await self._stop.wait()
        await runner.cleanup()
        await self._loop.shutdown_default_executor()

    def __enter__(self) -> "FakeWorker":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
