"""The status page in a real Chromium, on documents of good and bad days that no test could wait for."""

import re
from pathlib import Path

import pytest

from muse_stream.streams.worker.page import FILES, POLICY
from tests.streams.worker.page.browser import Browser, Page
from tests.streams.worker.page.served import HOSTILE, FakeWorker, failing, healthy
from tests.streams.worker.page.test_page import SHOTS

SHOWN = "document.querySelector('#main').getAttribute('aria-busy') === null"
SIZES = [("light", 1920, 1080, False), ("dark", 1920, 1080, True), ("phone", 360, 740, False)]


def opened(browser: Browser, worker: FakeWorker, width: int = 1280, height: int = 800, *, dark: bool = False) -> Page:
    page = browser.page(f"{worker.url}/", width, height, dark=dark)
    page.until(SHOWN, "the document")
    return page


@pytest.mark.parametrize(("name", "width", "height", "dark"), SIZES)
def test_a_bad_day_fits_and_says_what_to_do(
    browser: Browser, tmp_path: Path, *, name: str, width: int, height: int, dark: bool
) -> None:
    with FakeWorker(failing()) as worker:
        page = opened(browser, worker, width, height, dark=dark)
        assert page.text("#overall") == "Needs you: not ready, late behaviours, refusals, slow answers."
        assert "the log begins at offset 90,000" in page.text("#to-do")
        assert "start another worker" in page.text("#to-do")
        first = page.text("#partitions tbody tr:nth-child(1)")
        assert first.split()[:2] == ["3", "stopped"]
        assert page.text("#checks li").startswith("partitions")
        assert page.value("document.documentElement.scrollWidth") == width
        page.save((SHOTS or tmp_path) / f"failing-{name}.png")
        assert page.complaints == []
        page.close()


def test_hostile_texts_are_texts(browser: Browser) -> None:
    with FakeWorker(failing(HOSTILE)) as worker:
        page = opened(browser, worker)
        for place in ("#to-do", "#partitions", "#models", "#warnings", "#letters", "#workers"):
            assert "<script>window.hostile = 1</script>" in page.text(place)
        assert page.value("typeof window.hostile") == "undefined"
        assert page.value("document.querySelectorAll('script, main img').length") == 1
        assert page.value("[...document.links].every(link => link.protocol === 'http:')")
        assert page.complaints == []
        page.close()


def test_many_partitions_are_folded_and_opened_by_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    with FakeWorker(healthy(512)) as worker:
        page = opened(browser, worker, 1920, 1080)
        rows = "document.querySelectorAll('#partitions tbody tr').length"
        assert (page.value(rows), page.value("document.querySelectorAll('#partition-map i').length")) == (16, 256)
        assert page.text("#overall") == "All is well."
        page.save((SHOTS or tmp_path) / "many.png")
        page.value("document.querySelector('#all-partitions').focus()")
        page.press("Enter")
        page.until(f"{rows} === 256", "all rows")
        assert page.text("#all-partitions") == "Show the first 16"
        page.close()


def test_a_worker_without_metrics_is_shown_as_far_as_it_is_known(browser: Browser) -> None:
    document = healthy() | {"trends": None, "workers": []}
    document["models"]["live"] = None
    with FakeWorker(document) as worker:
        page = opened(browser, worker)
        assert page.text("#stages-about").startswith("No answers")
        assert "no model" in page.text("#models")
        assert "16 partitions without an owner" in page.text("#workers-about")
        assert page.complaints == []
        page.close()


def test_a_worker_that_comes_back_is_shown_again(browser: Browser) -> None:
    with FakeWorker(healthy()) as worker:
        page = opened(browser, worker)
        worker.broken = True
        page.until("!document.querySelector('#stale').hidden", "the banner")
        assert "HTTP status 500" in page.text("#stale")
        worker.broken = False
        page.until("document.querySelector('#stale').hidden", "the banner goes")
        assert page.text("#updated").startswith("live, ")
        page.close()


def test_the_page_is_ours_alone_and_small() -> None:
    from importlib.resources import files

    bodies = {name: (files("muse_stream.streams.worker.page") / name).read_text(encoding="utf-8") for name in FILES}
    assert "default-src 'self'" in POLICY
    assert sum(map(len, bodies.values())) < 64_000
    for name, body in bodies.items():
        assert "innerHTML" not in body, name
        assert "https://" not in body, name


def test_whatever_the_page_names_is_served() -> None:
    from importlib.resources import files

    served = {path for _, paths in FILES.values() for path in paths}
    folder = files("muse_stream.streams.worker.page")
    named = {f"/{path}" for path in re.findall(r'(?:src|href)="(status/[^"]+)"', (folder / "page.html").read_text())}
    for script in (name for name in FILES if name.endswith(".js")):
        named |= {f"/status/{path}" for path in re.findall(r'from "\./([^"]+)"', (folder / script).read_text("utf-8"))}
    assert named == served - {"/", "/status"}
