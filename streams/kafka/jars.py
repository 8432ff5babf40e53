"""Kafka's own jars, fetched once into the user's cache.

Invariant: the list file is written last, so a directory that has one holds every jar, whole; a fetch that was killed
half-way leaves `.partial` marks and the next one fetches those files again.

jgo resolves the dependency tree and fetches the files; its environments are not used, because classifying jars by
Java module makes it fetch a Java 11 of its own, and a class path needs no such thing.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import Artifact, MavenContext, PythonResolver
from jgo.parse import Coordinate

from muse_stream.streams.errors import DownloadError

KAFKA_VERSION = "4.3.1"
# slf4j-simple writes the broker's log to stderr; 1.7.36 is the slf4j that Kafka 4.3.1 itself depends on.
COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
_DOWNLOAD_TEXT = "46 files, about 44 MB"  # Kafka 4.3.1 with its dependencies
_FETCHERS = 4  # the files are small: what counts is round trips, not bandwidth
_REPORT_SECONDS = 1.0
_TIMEOUT_SECONDS = 20

Report = Callable[[str], None]


def no_report(_line: str) -> None:
    """Take a progress line and do nothing."""


def default_cache() -> Path:
    """Return the folder below the user's cache that holds what this program fetches."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "muse-stream"


class _Pace:
    """Passes a line of progress on at most once a second."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = time.monotonic()

    def tell(self, text: str, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._last >= _REPORT_SECONDS:
            self._last = now
            self._report(f"Kafka {KAFKA_VERSION}: {text}")


class _MarkingResolver(PythonResolver):
    """Marks a file as partial while it is being fetched."""

    def __init__(self, pace: _Pace) -> None:
        super().__init__()
        self._pace = pace
        self._descriptions = 0

    def download(self, artifact: Artifact) -> Path:
        target = artifact.context.repo_cache / artifact.component.path_prefix / artifact.cached_filename
        mark = target.with_name(target.name + ".partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        if artifact.packaging == "pom":
            self._descriptions += 1
            self._pace.tell(f"reading what it depends on, {self._descriptions} descriptions")
        try:
            super().download(artifact)
        except BaseException:
            target.unlink(missing_ok=True)
            mark.unlink()
            raise
        mark.unlink()
        return target


def repositories() -> dict[str, str]:
    """Return the Maven repositories to ask: those of the user's jgo settings (a mirror, say), then the central one."""
    return {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}


@contextmanager
def _locked(folder: Path, report: Report) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"Kafka {KAFKA_VERSION}: another process is fetching it into {folder}; waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_files(artifacts: list[Artifact], pace: _Pace) -> list[Path]:
    done, total_bytes = 0, 0
    with ThreadPoolExecutor(_FETCHERS) as pool:
        futures = [pool.submit(artifact.resolve) for artifact in artifacts]
        try:
            for future in as_completed(futures):
                done += 1
                total_bytes += Path(future.result()).stat().st_size
                text = f"{done} of {len(futures)} files, {total_bytes / 1e6:.0f} MB"
                pace.tell(text, last=done == len(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [Path(future.result()) for future in futures]


def _fetch(folder: Path, remote: dict[str, str], report: Report) -> list[Path]:
    for mark in folder.rglob("*.partial"):
        mark.with_name(mark.name.removesuffix(".partial")).unlink(missing_ok=True)
        mark.unlink()
    pace = _Pace(report)
    pace.tell(f"fetching it once ({_DOWNLOAD_TEXT}) into {folder}", last=True)
    context = MavenContext(
        repo_cache=folder, remote_repos=remote, resolver=_MarkingResolver(pace), timeout=_TIMEOUT_SECONDS
    )
    wanted = [context.create_dependency(replace(Coordinate.parse(text), scope="compile")) for text in COORDINATES]
    inputs, others = context.resolver.resolve(wanted)
    needed = [*inputs, *(each for each in others if each.scope in ("compile", "runtime"))]
    return _fetch_files([each.artifact for each in needed], pace)


def _listed(listing: Path) -> list[Path] | None:
    if not listing.is_file():
        return None
    jars = [listing.parent / name for name in json.loads(listing.read_text(encoding="utf-8"))]
    return jars if all(jar.is_file() for jar in jars) else None


def kafka_jars(
    cache: Path | None = None, *, report: Report = no_report, remote: dict[str, str] | None = None
) -> list[Path]:
    """Return the jars of a Kafka broker, fetching those that are not there yet.

    Args:
        cache: Where this program keeps what it fetches (default: `default_cache()`).
        report: Gets a line of progress about once a second while something is fetched.
        remote: Maven repositories, name to URL (default: `repositories()`).

    Raises:
        DownloadError: They are not in the cache and could not be fetched.

    """
    folder = (cache or default_cache()) / f"kafka-{KAFKA_VERSION}"
    listing = folder / "jars.json"
    if found := _listed(listing):
        return found
    with _locked(folder, report):
        if found := _listed(listing):
            return found
        remote = repositories() if remote is None else remote
        try:
            jars = _fetch(folder, remote, report)
        except (requests.RequestException, RuntimeError, OSError) as error:
            raise DownloadError(_advice(folder, remote, error)) from error
        written = listing.with_suffix(".new")
        written.write_text(json.dumps([str(jar.relative_to(folder)) for jar in jars]), encoding="utf-8")
        written.replace(listing)
    return jars


def _advice(folder: Path, remote: dict[str, str], error: Exception) -> str:
    what = " and ".join(COORDINATES)
    return (
        f"could not fetch {what} ({_DOWNLOAD_TEXT}) from {', '.join(remote.values())}: {error}. The embedded broker "
        f"needs them once. Either connect this machine to the network (HTTPS_PROXY is honoured), or name a mirror "
        f"under [repositories] in ~/.config/jgo.conf, or copy {folder} from a machine that has it, or use a Kafka of "
        f"your own: --brokers HOST:PORT."
    )
