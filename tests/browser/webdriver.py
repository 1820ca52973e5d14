"""A browser, driven over WebDriver (W3C) with what Python brings along."""

import base64
import json
import shutil
import socket
import subprocess
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def programs():
    """Browser and driver, or None where one is missing."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """A headless Chromium of `width` by `height` pixels, light or dark."""

    def __init__(self, width, height, dark=False):
        browser, driver = programs()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.PIPE, text=True)
        # The line says that it listens.
        while "started successfully" not in (line := self.driver.stdout.readline()):
            assert line, "chromedriver ended"
        self.url = f"http://127.0.0.1:{port}/session"
        flags = FLAGS + [f"--window-size={width},{height}"] + (["--force-dark-mode"] if dark else [])
        options = {"binary": browser, "args": flags}
        capabilities = {
            "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"script": 60_000},
            }
        }
        session = self._ask("POST", "", {"capabilities": capabilities})["sessionId"]
        self.url += f"/{session}"
        if width < 500:
            metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
            self._ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
        if dark:
            media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
            self._ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": media})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value of the body of a function."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def when(self, condition):
        """Waits until a JavaScript expression holds: looked at whenever the page has changed."""
        script = f"""
            const done = arguments[0], holds = () => {{ try {{ return {condition}; }} catch {{ return false; }} }};
            if (holds()) return done(true);
            const look = () => {{ if (holds()) {{ observer.disconnect(); done(true); }} }};
            const observer = new MutationObserver(look);
            observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
            document.addEventListener("load", look, true);
        """
        assert self._ask("POST", "/execute/async", {"script": script, "args": []})

    def element(self, selector):
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        self._ask("POST", f"/element/{self.element(selector)}/value", {"text": text})

    def click(self, selector):
        self._ask("POST", f"/element/{self.element(selector)}/click", {})

    def messages(self):
        """What the page complained about."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, path):
        """The whole page as a PNG."""
        shot = {"format": "png", "captureBeyondViewport": True}
        data = self._ask("POST", "/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": shot})["data"]
        path.write_bytes(base64.b64decode(data))
