"""A real Chromium without a window, driven by its DevTools protocol over one websocket.

Invariant: everything that a page does is kept: what it asks for, what fails, what it complains of.
"""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_SECONDS = 30.0
QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync"),
    *("--disable-extensions", "--hide-scrollbars", "--remote-debugging-port=0"),
)
T = TypeVar("T")


class Browser:
    """One process, one page at a time; close it."""

    def __init__(self, directory: Path) -> None:
        assert PROGRAM is not None
        self._loop = asyncio.new_event_loop()
        self._directory = directory
        self._log = (directory / "chromium.log").open("wb")
        command = [PROGRAM, *QUIET, f"--user-data-dir={directory / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self._run(self._connect())

    def close(self) -> None:
        self._run(self._leave())
        self._loop.close()
        self._process.wait(PATIENCE_SECONDS)
        self._log.close()

    def page(self, url: str, width: int, height: int, *, dark: bool = False) -> "Page":
        """Open a page of its own in a window of that size."""
        return self._run(self._open(url, width, height, dark=dark))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._run(work)

    async def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask the browser and wait for its answer."""
        self._number += 1
        self._answers[self._number] = answer = self._loop.create_future()
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json({**message, "sessionId": session} if session else message)
        found: dict[str, Any] = await asyncio.wait_for(answer, PATIENCE_SECONDS)
        assert "error" not in found, (method, found)
        return dict(found["result"])

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    async def _connect(self) -> None:
        known = self._directory / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (known.exists() and len(known.read_text().splitlines()) == 2):
            assert time.monotonic() < deadline, f"chromium did not start, see {self._log.name}"
            await asyncio.sleep(0.05)
        port, path = known.read_text().splitlines()
        self._number, self._pages = 0, dict[str, Page]()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=1 << 26)
        self._reader = self._loop.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            found = json.loads(message.data)
            if "id" in found:
                self._answers.pop(found["id"]).set_result(found)
            elif found.get("sessionId") in self._pages:
                self._pages[found["sessionId"]].happened(found["method"], found["params"])

    async def _open(self, url: str, width: int, height: int, *, dark: bool) -> "Page":
        target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable", session)
        mobile = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
        await self.send("Emulation.setDeviceMetricsOverride", session, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", session, features=[scheme])
        await self.send("Page.navigate", session, url=url)
        return page

    async def _leave(self) -> None:
        await self.send("Browser.close")
        await self._reader
        await self._session.close()


class Page:
    """What one page shows and what it did.

    Attributes:
        asked: Addresses that it asked for.
        complaints: Errors on its console, failed requests, answers with an error status.

    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self.asked: list[str] = []
        self.complaints: list[str] = []

    def happened(self, method: str, event: dict[str, Any]) -> None:
        """Take one event of the protocol."""
        if method == "Network.requestWillBeSent":
            self.asked.append(event["request"]["url"])
        elif method == "Network.loadingFailed" and not event.get("canceled"):
            self.complaints.append(f"failed: {event['errorText']}")
        elif method == "Network.responseReceived" and event["response"]["status"] >= 400:
            self.complaints.append(f"{event['response']['status']} for {event['response']['url']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(event["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.complaints.append(event["entry"]["text"])

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        call = self._browser.send("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        return self._browser.run(call)["result"].get("value")

    def text(self, selector: str) -> str:
        """What people read there; empty where there is no such element."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def press(self, key: str) -> None:
        """Press and release a key; `Enter` also types its character, as a keyboard does."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": 13, "text": "\r"} if key == "Enter" else {"key": key}
        for kind in ("keyDown", "keyUp"):
            self._browser.run(self._browser.send("Input.dispatchKeyEvent", self._session, type=kind, **code))

    def until(self, expression: str, what: str) -> None:
        """Wait for an expression to be true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.value(expression):
            assert time.monotonic() < deadline, f"waited in vain: {what}\n{self.text('body')}\n{self.complaints}"
            self._browser.run(asyncio.sleep(0.05))

    def save(self, path: Path) -> None:
        """Write a picture of the whole page, also of what is below the window."""
        size = self._browser.run(self._browser.send("Page.getLayoutMetrics", self._session))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self._browser.send("Page.captureScreenshot", self._session, clip=clip, captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._browser.run(shot)["data"]))

    def close(self) -> None:
        self._browser.run(self._browser.send("Target.closeTarget", targetId=self._target))
