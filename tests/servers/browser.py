"""A real headless browser, spoken to through pipes: Chromium and its DevTools protocol.

    with Browser() as browser:
        page = browser.open(path, width=390)
        page.value("document.title")
        page.requests  # every address that the page asked for, its own among them

No driver and no websocket is needed: ``--remote-debugging-pipe`` is JSON between zero bytes.
"""

import fcntl
import json
import os
import subprocess
import tempfile
from base64 import b64decode
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from tests.servers.programs import program

_FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests may run as root, and show their own pages only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class BrowserFailed(Exception):
    """The browser ended, or refused a command."""


class Page:
    """One tab.

    Attributes:
        requests: the addresses that it asked for, in order.
        told: what its console was told, errors and violations of its policy among that.
    """

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session
        self.requests: list[str] = []
        self.told: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol."""
        return self._browser.call(method, self._session, **parameters)

    def value(self, expression: str) -> Any:
        """What an expression is in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise BrowserFailed(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def settle(self) -> None:
        """Everything that was begun has had its turn."""
        self.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        return b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return b64decode(self.call("Page.printToPDF")["data"])

    def see(self, event: dict[str, Any]) -> None:
        """Take note of an event."""
        parameters = event.get("params", {})
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Log.entryAdded":
                self.told.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.told.append(str(parameters["exceptionDetails"]))
            case _:
                pass


class Browser:
    """Chromium, from `with` to its end."""

    def __init__(self) -> None:
        self._program = program("chromium")

    def __enter__(self) -> Self:
        """Start it with a profile of its own.

        Raises:
            Unavailable: it is not installed.
        """
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read_theirs, write_ours = os.pipe()
        read_ours, write_theirs = os.pipe()

        def arrange() -> None:
            # 3 and 4 are the protocol's; the pipes may have these numbers the other way round.
            reads, writes = (
                fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read_theirs, write_theirs)
            )
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        self._process = subprocess.Popen(
            [str(self._program), *_FLAGS, f"--user-data-dir={self._folder.name}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._folder.name},
            pass_fds=(3, 4),
            preexec_fn=arrange,  # noqa: PLW1509 - no thread of the tests holds a lock by then
        )
        os.close(read_theirs)
        os.close(write_theirs)
        self._out: BinaryIO = os.fdopen(write_ours, "wb", buffering=0)
        self._in: BinaryIO = os.fdopen(read_ours, "rb", buffering=0)
        self._rest = b""
        self._number = 0
        self._pages: dict[str, Page] = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._out.close()
        self._in.close()
        self._folder.cleanup()

    def open(
        self, path: Path, *, width: int = 1280, fragment: str = "", scripts: bool = True
    ) -> Page:
        """A tab of this width with the file, loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        if not scripts:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Page.navigate", url=path.as_uri() + (f"#{fragment}" if fragment else ""))
        self._wait_for("Page.loadEventFired", session)
        page.settle() if scripts else None
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """A command, and its result.

        Raises:
            BrowserFailed: it was refused.
        """
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserFailed(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _wait_for(self, event: str, session: str) -> None:
        while True:
            seen = self._next()
            if (seen.get("method"), seen.get("sessionId")) == (event, session):
                return

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = self._in.read(1 << 20)
            if not data:
                raise BrowserFailed(f"{self._program} ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.see(message)
        return message
