"""A headless Chromium driven through its DevTools pipe: no driver, no web socket, no extra package.

Chromium started with --remote-debugging-pipe reads commands from file descriptor 3 and writes answers and events to 4,
each a JSON object that ends with a NUL byte (https://chromedevtools.github.io/devtools-protocol/).
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions".split()
TIMEOUT = 180.0  # seconds for any one answer; a machine that trains on every core needs some


class Browser:
    """One page in a fresh profile; `requests` and `errors` collect what it fetched and complained about."""

    def __init__(self, width: int = 1440, height: int = 900, dark: bool = False):
        self.profile = Path(tempfile.mkdtemp(prefix="browser-"))
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._buffer, self._id, self._session, self._loaded = b"", 0, None, False
        self._start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.profile))
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.resize(width, height)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _start(self) -> None:
        # Numbers from 10 up, so that placing an end at 3 or 4 in the child can never overwrite the other end.
        ends = [fd for _ in range(2) for fd in os.pipe()]
        child_in, self._write, self._read, child_out = (
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in ends
        )
        for fd in ends:
            os.close(fd)

        def place() -> None:
            os.dup2(child_in, 3)
            os.dup2(child_out, 4)

        command = [
            CHROMIUM,
            *FLAGS,
            "--remote-debugging-pipe",
            f"--user-data-dir={self.profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command, preexec_fn=place, pass_fds=(3, 4), stderr=subprocess.DEVNULL
        )
        os.close(child_in)
        os.close(child_out)

    def call(self, method: str, **params) -> dict:
        """Send one DevTools command and return its result; events that arrive meanwhile are noted."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self) -> dict:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], TIMEOUT)[0]:
                raise TimeoutError(f"Chromium was silent for {TIMEOUT:.0f} s")
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium ended early")
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(raw)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, params: dict) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif event == "Page.loadEventFired":
            self._loaded = True

    def open(self, path: Path) -> None:
        """Load a local file and wait for its load event."""
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def eval(self, script: str):
        """Value of a JavaScript expression; a promise is awaited. Raises RuntimeError when it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(
                answer["exceptionDetails"].get("exception", {}).get("description", "script error")
            )
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release one key on the focused element (code: Windows virtual key code, Enter = 13)."""
        text = "\r" if key == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text
            )

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def screenshot(self, path: Path, full: bool = True) -> None:
        """Write the page (or only what is in view) as PNG."""
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(image["data"]))

    def wait_for_download(self, name: str) -> Path:
        """Path of a finished download. Raises TimeoutError when it does not appear within 10 seconds."""
        for _ in range(100):
            if (path := self.profile / name).exists():
                return path
            time.sleep(0.1)
        raise TimeoutError(
            f"no download named {name}; found {sorted(p.name for p in self.profile.glob('*.csv'))}"
        )
