"""The status page in a real Chromium, on a real worker under a little load."""

import os
from pathlib import Path

import pytest

from tests.streams.worker.installation import Worker
from tests.streams.worker.page.browser import Browser, Page

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
SHOTS = Path(os.environ["SCREENSHOTS"]) if "SCREENSHOTS" in os.environ else None
"""Where pictures are kept; without it they are taken and thrown away."""


@pytest.fixture(scope="module")
def page(browser: Browser, worker: Worker) -> Page:
    """The page of the worker on a desktop, once it has figures of its load."""
    found = browser.page(f"{worker.url}/", 1920, 1080)
    found.until("document.querySelectorAll('#stages tbody tr').length > 3", "stages of requests")
    found.until("document.querySelector('#letters tbody tr') !== null", "the dead letter")
    return found


def test_it_shows_this_worker(page: Page, worker: Worker) -> None:
    assert "this one" in page.text("#workers")
    assert page.text("#workers tbody td:nth-child(2)") == "0–3"
    assert worker.url.removeprefix("http://127.0.0.1") in page.text("#whose")
    states = page.value("[...document.querySelectorAll('#partitions tbody .state')].map(one => one.innerText)")
    assert states == ["ready"] * 4
    assert "bad json" in page.text("#letters")
    assert "partition " in page.text("#letters")
    assert page.text(".card:first-child .badge") == "yes"
    assert page.text("#models").count("model") >= 1
    stages = page.value("[...document.querySelectorAll('#stages tbody td:first-child')].map(one => one.innerText)")
    assert {"decode", "gsu", "esu", "encode", "produce"} < set(stages)
    assert stages[-1] == "whole"


def test_it_lives(page: Page) -> None:
    for figure in ("#updated", "#stages .whole td:nth-child(3)", ".card:nth-child(2) .figures div:last-child dd"):
        before = page.text(figure)
        page.until(f"document.querySelector('{figure}').innerText !== {before!r}", f"{figure} changes")
    assert page.value("document.querySelectorAll('.trend .line[d^=M]').length") == 3


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [("light", 1920, 1080, False), ("dark", 1920, 1080, True), ("phone", 360, 740, False)],
)
@pytest.mark.usefixtures("page")
def test_it_fits(
    browser: Browser, worker: Worker, tmp_path: Path, *, name: str, width: int, height: int, dark: bool
) -> None:
    found = browser.page(f"{worker.url}/status", width, height, dark=dark)
    found.until("document.querySelectorAll('#stages tbody tr').length > 3", "stages of requests")
    assert found.value("document.documentElement.scrollWidth") == width
    assert (
        found.value("[...document.querySelectorAll('main *')].filter(one => one.scrollWidth > innerWidth).length") == 0
    )
    found.save((SHOTS or tmp_path) / f"{name}.png")
    assert found.complaints == []
    found.close()


def test_it_asks_nobody_else_and_complains_of_nothing(page: Page, worker: Worker) -> None:
    asked = set(page.asked)
    assert {url.removeprefix(worker.url) for url in asked} == {
        "/",
        "/status/page.css",
        "/status/page.js",
        "/status/questions.js",
        "/status/elements.js",
        "/status/icon.svg",
        "/v1/status",
    }
    assert page.complaints == []


def test_it_says_when_the_worker_is_silent(page: Page, worker: Worker, tmp_path: Path) -> None:
    assert page.text("#stale") == ""
    worker.kill()
    page.until("!document.querySelector('#stale').hidden", "the banner")
    assert "The worker does not answer" in page.text("#stale")
    assert page.text("#updated").startswith("silent for")
    page.save((SHOTS or tmp_path) / "silent.png")
