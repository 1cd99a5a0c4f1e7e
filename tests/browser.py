"""A real Chromium without a window, in which no script runs, driven by the DevTools protocol (chromedevtools.github.io/devtools-protocol)."""

import asyncio
import base64
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)

# So that it asks for nothing but what it is told to.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--lang=ru",
)  # fmt: skip


class Tab:
    """A page; `requested` are the addresses that it asked for, `complaints` what the browser says of it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._last = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.listening = asyncio.create_task(self._listen())

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        answer = self._answers[self._last] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        async with asyncio.timeout(20):
            return await answer

    async def open(self, address: str) -> None:
        self._loaded.clear()
        await self.call("Page.navigate", url=address)
        await self.loaded()

    async def loaded(self) -> None:
        async with asyncio.timeout(20):
            await self._loaded.wait()

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = "dark" if dark else "light"
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def find(self, selector: str) -> int:
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        return (await self.call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]

    async def type(self, selector: str, text: str) -> None:
        await self.call("DOM.focus", nodeId=await self.find(selector))
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """A click that leads to another page."""
        node = await self.find(selector)
        await self.call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        x1, y1, _, _, x2, y2, *_ = (await self.call("DOM.getBoxModel", nodeId=node))["model"]["content"]
        self._loaded.clear()
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=(x1 + x2) / 2, y=(y1 + y2) / 2, button="left", clickCount=1)
        await self.loaded()

    async def html(self) -> str:
        return (await self.call("DOM.getOuterHTML", nodeId=await self.find("html")))["outerHTML"]

    async def widths(self) -> tuple[float, float]:
        """Of what is seen, and of the content."""
        metrics = await self.call("Page.getLayoutMetrics")
        return metrics["cssLayoutViewport"]["clientWidth"], metrics["cssContentSize"]["width"]

    async def picture(self) -> bytes:
        """Of the whole page, as PNG."""
        content = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        shot = await self.call(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": content["width"], "height": content["height"], "scale": 1},
        )
        return base64.b64decode(shot["data"])

    async def _listen(self) -> None:
        async for message in self._socket:
            said = message.json()
            match said.get("method"):
                case None:
                    answer = self._answers.pop(said["id"])
                    if "error" in said:
                        answer.set_exception(AssertionError(said["error"]["message"]))
                    else:
                        answer.set_result(said["result"])
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Network.requestWillBeSent":
                    self.requested.append(said["params"]["request"]["url"])
                case "Log.entryAdded":
                    self.complaints.append(said["params"]["entry"]["text"])
                case _:
                    pass


@asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """A new browser with one tab, in which scripts are switched off."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="st-chromium-", ignore_cleanup_errors=True) as folder:
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {"HOME": folder}
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with aiohttp.ClientSession() as http, http.ws_connect(await _address(http, Path(folder)), max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "DOM", "Network", "Log"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Emulation.setScriptExecutionDisabled", value=True)
                yield tab
                tab.listening.cancel()
                with suppress(asyncio.CancelledError):
                    await tab.listening
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


async def _address(http: aiohttp.ClientSession, folder: Path) -> str:
    """Of the first tab, when the browser says on which port it listens."""
    async with asyncio.timeout(30):
        while True:
            with suppress(FileNotFoundError, ValueError, aiohttp.ClientError, StopIteration):
                port = int((folder / "DevToolsActivePort").read_text().splitlines()[0])
                async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    return next(each["webSocketDebuggerUrl"] for each in await answer.json() if each["type"] == "page")
            await asyncio.sleep(0.05)
